"""What tables are made of: base classes, constraint names, column types and the present time."""

import enum
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Double,
    Enum,
    MetaData,
    SmallInteger,
    Uuid,
    bindparam,
    event,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    TypeResolve,
    declared_attr,
    mapped_column,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from backstay.core.clock import new_id, utc_now
from backstay.db.fixed_point import FixedPoint, fixed_point_of

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored in UTC. SQLite drops the time zone, so it is added again on reading.

    Raises:
        ValueError: a value without a zone was to be stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def bind_processor(self, dialect: Dialect) -> Any:
        """For asyncpg a plain function, since every row has several moments."""
        return _in_utc if dialect.driver == "asyncpg" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None for asyncpg, which reads moments in UTC by itself; SQLite keeps texts."""
        return None if dialect.driver == "asyncpg" else partial(self._read, dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return _in_utc(value)

    def _read(self, dialect: Dialect, text: str | None) -> datetime | None:
        """A moment as it is written here; its zone is read with it, which spares `replace`."""
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(f"{text}+00:00")
        except ValueError:  # others may write a zone, or a day, whose zone would be a time
            found = datetime.fromisoformat(text)
        return found if found.tzinfo is UTC else self.process_result_value(found, dialect)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return value.astimezone(UTC)


def _values(members: type[enum.Enum]) -> list[str]:
    return [str(member.value) for member in members]


_STATUS = Enum(
    enum.Enum, native_enum=False, create_constraint=False, length=64, values_callable=_values
)
"""The column of a ``StrEnum``: a text with the member's value. The database does not list the
members, so that a further one needs no migration; writing anything else raises here."""


class Base(DeclarativeBase):
    """The declarative base of every table.

    Sessions are async, so that access to a relationship that was not loaded explicitly raises.
    ``__owner__`` is the column with the id of the user whose row it is, or the path to it through
    a foreign key, such as ``order_id.owner_id``. Under the scope ``OWN`` a user finds only own
    rows: none, where it is None. ``Mapped[Status]`` of a ``StrEnum`` is a text of up to 64
    characters with the member's value.
    """

    __owner__: ClassVar[str | None] = None
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        UUID: Uuid,
        StrEnum: _STATUS,
    }
    table_twice: ClassVar[list[tuple[type["Base"], str]]] = []
    """Models with the name of a table that another model has; the boot refuses them."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Make a model whose table another one has under another name, so that the import goes on
        and the boot tells of it with all other faults.

        Raises:
            TypeError: it names no table, and is not abstract.
        """
        name, taken = cls.__dict__.get("__tablename__"), cls.metadata.tables
        if isinstance(name, str) and name in taken:
            cls.table_twice.append((cls, name))
            cls.__tablename__ = f"{name} ({len(taken)})"
        try:
            super().__init_subclass__(**options)
        except InvalidRequestError as error:
            if "__tablename__" not in str(error):
                raise
            wrong = f"{cls.__name__} names no table"
            hint = 'write `__tablename__ = "orders"`, or `__abstract__ = True` if it has none'
            raise TypeError(f"{wrong}: {hint}") from None


@event.listens_for(Base, "resolve_type_annotation")
def _fixed_point(resolve: TypeResolve) -> TypeEngine[Any] | None:
    """The column type that stands in an annotation, as in ``Mapped[Money]``."""
    return fixed_point_of(resolve.raw_pep_593_type)


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
        given = vars(self)  # SQLAlchemy need not watch the attributes of a row that is new
        given["created_at"] = given.get("created_at") or now
        given["created_by"] = given.get("created_by") or author
        given["updated_at"], given["updated_by"] = now, author


class SoftDelete:
    """A row that is hidden instead of deleted; its unique indexes need ``deleted_at IS NULL``."""

    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=95)


def stamp_of(session: Session) -> tuple[datetime, UUID | None]:
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


def fits(value: Any, column_type: TypeEngine[Any]) -> bool:
    """Whether a value can be compared with a column on both databases.

    PostgreSQL refuses a NUL in a text and a number outside its type; SQLite accepts both.
    """
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(column_type, FixedPoint):
        return not isinstance(value, (Decimal, int)) or column_type.holds(value)
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value.adjusted()) <= _MOST_EXPONENT
    if isinstance(value, int):
        return -(limit := _limit(column_type)) <= value < limit
    if isinstance(value, datetime):
        return value.tzinfo is not None and _is_utc_representable(value)
    return True


_MOST_EXPONENT = 300
"""Of a number for a column whose type does not say how many digits it holds."""


def _limit(column_type: TypeEngine[Any]) -> int:
    if isinstance(column_type, SmallInteger):
        return 2**15
    return 2**63 if isinstance(column_type, BigInteger) else 2**31


def _is_utc_representable(value: datetime) -> bool:
    try:
        value.astimezone(UTC)
    except OverflowError:
        return False
    return True


class SecondsFromNow(FunctionElement[Any]):
    """The database's present time plus ``seconds``: a number, or the name of a bind parameter."""

    inherit_cache = True
    type = UtcDateTime()

    def __init__(self, seconds: float | str = 0.0) -> None:
        if isinstance(seconds, str):
            super().__init__(bindparam(seconds, type_=Double))
        else:
            super().__init__(bindparam(None, seconds, Double))


@compiles(SecondsFromNow)
def _by_interval(element: SecondsFromNow, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(SecondsFromNow, "sqlite")
def _by_strftime(element: SecondsFromNow, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    moment = f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {seconds}))"
    return f"({moment} || '000')"
