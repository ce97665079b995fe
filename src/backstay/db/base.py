"""The base classes of tables: constraint names, id, times, authors and version."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import MetaData, Uuid, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column

from backstay.core.clock import new_id, utc_now
from backstay.db.types import UtcDateTime

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The declarative base of every table.

    Sessions are async, so that access to a relationship that was not loaded explicitly raises.
    """

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, UUID: Uuid}


class Entity(Base):
    """A row with an id. ``version`` counts its changes and prevents lost updates."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-10)
    created_at: Mapped[datetime] = mapped_column(sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(sort_order=91)
    created_by: Mapped[UUID | None] = mapped_column(sort_order=92)
    updated_by: Mapped[UUID | None] = mapped_column(sort_order=93)
    version: Mapped[int] = mapped_column(sort_order=94)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__dict__.get("version", Entity.version)}

    def stamp(self, now: datetime, author: UUID | None) -> None:
        """Set the time and the author of this new row; a given creation is kept."""
        self.created_at = self.created_at or now
        self.created_by = self.created_by or author
        self.updated_at, self.updated_by = now, author


class SoftDelete:
    """A row that is hidden instead of deleted; its unique indexes need ``deleted_at IS NULL``."""

    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=95)


def stamp_of(session: Session | AsyncSession) -> tuple[datetime, UUID | None]:
    """The time and the author for the rows that a session changes now."""
    return session.info.get("clock", utc_now)(), session.info.get("author")


@event.listens_for(Session, "before_flush")
def _stamp(session: Session, *_: Any) -> None:
    now, author = stamp_of(session)
    for row in session.new:
        if isinstance(row, Entity):
            row.stamp(now, author)
    for row in session.dirty:
        if isinstance(row, Entity) and session.is_modified(row):
            row.updated_at, row.updated_by = now, author
