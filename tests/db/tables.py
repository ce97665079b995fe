"""Tables for the database tests, with one of everything that differs between the databases."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Enum, ForeignKey, Index, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backstay.core.errors import Conflict
from backstay.db.base import Base, Entity, SoftDelete
from backstay.db.faults import taken_by

PLACE = UniqueConstraint("shelf_id", "place")
OWNED: dict[str, Any] = {"info": {"owner": "tests"}}


class Mood(StrEnum):
    GRIM = "grim"
    MERRY = "merry"


class TitleTaken(Conflict):
    code, title = "books.title_taken", "A book of this title exists"


class PlaceTaken(Conflict):
    code, title = "books.place_taken", "Another book stands there"


class Shelf(Entity):
    __tablename__ = "test_shelves"
    __table_args__ = OWNED

    name: Mapped[str] = mapped_column(String(50))


class Book(SoftDelete, Entity):
    __tablename__ = "test_books"
    __table_args__ = (PLACE, OWNED)
    __owner__ = "owner_id"

    title: Mapped[str] = mapped_column(String(200))
    subtitle: Mapped[str | None] = mapped_column(String(200))
    pages: Mapped[int] = mapped_column(default=0)
    copies: Mapped[int] = mapped_column(BigInteger, default=0)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal(0))
    mood: Mapped[Mood] = mapped_column(Enum(Mood, native_enum=False, length=8), default=Mood.MERRY)
    printed_at: Mapped[datetime | None]
    owner_id: Mapped[UUID | None]
    shelf_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("test_shelves.id", deferrable=True, initially="DEFERRED")
    )
    place: Mapped[int | None]


class Blurb(Base):
    """A row that is not an entity: it has neither a version nor times."""

    __tablename__ = "test_blurbs"
    __table_args__ = OWNED

    book_id: Mapped[UUID] = mapped_column(ForeignKey("test_books.id"), primary_key=True)
    text: Mapped[str | None] = mapped_column(String(200))
    book: Mapped[Book] = relationship(viewonly=True)


book_title = Index(
    "uq_test_books_title",
    Book.title,
    unique=True,
    postgresql_where=Book.deleted_at.is_(None),
    sqlite_where=Book.deleted_at.is_(None),
)
taken_by(book_title, TitleTaken)
book_owner = Index("ix_test_books_owner_id_id", Book.owner_id, Book.id)
taken_by(PLACE, PlaceTaken)
TABLES = [Base.metadata.tables[name] for name in ("test_shelves", "test_books", "test_blurbs")]
