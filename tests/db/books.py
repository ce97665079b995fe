"""Lists of books: what the tests of paging and of filters ask."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from backstay.core.clock import new_id, utc_now
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import View
from backstay.core.permissions import PUBLIC
from backstay.core.principal import STRANGER, UNLIMITED, Grant, Principal
from backstay.db.database import Database
from backstay.db.listing import Listing
from backstay.db.paging import Cursors, Paginator
from tests.db.tables import Book, Mood


class BookSummary(View):
    id: UUID
    title: str
    pages: int
    is_printed: bool


class ListBooks(ListQuery[BookSummary]):
    permission = PUBLIC
    sortable = ("title", "pages", "copies", "price", "mood", "created_at", "is_printed", "id")
    searchable = ("title", "subtitle")

    title: Text | None = None
    subtitle: Text | None = None
    pages: Range[int] | None = None
    copies: Range[int] | None = None
    price: Range[Decimal] | None = None
    mood: Equals[Mood] | None = None
    printed_at: Range[datetime] | None = None
    owner_id: Equals[UUID] | None = None
    is_printed: Equals[bool] | None = None
    is_deleted: Equals[bool] | None = None


BOOKS = Listing(
    ListBooks,
    Book,
    BookSummary,
    columns={"is_printed": Book.printed_at.is_not(None)},
)
CURSORS = Cursors(b"k" * 32)
ANN, BEN = new_id(), new_id()


def book(number: int, **values: Any) -> dict[str, Any]:
    rows = {
        "id": new_id(),
        "title": f"Book {number:03}",
        "subtitle": None,
        "pages": 0,
        "copies": 0,
        "price": Decimal(0),
        "mood": Mood.MERRY,
        "printed_at": None,
        "owner_id": ANN if number % 2 else BEN,
        "created_at": utc_now(),
        "updated_at": utc_now(),
        "version": 1,
        "deleted_at": None,
    }
    return rows | values


async def store(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(insert(Book), rows)


async def pages(database: Database, query: ListBooks, **who: Any) -> Page[BookSummary]:
    page = await ask(database, query, **who)
    assert isinstance(page, Page)
    return page


async def slices(database: Database, query: ListBooks, **who: Any) -> CursorPage[BookSummary]:
    page = await ask(database, query, **who)
    assert isinstance(page, CursorPage)
    return page


async def ask(
    database: Database,
    query: ListBooks,
    principal: Principal = STRANGER,
    grant: Grant = UNLIMITED,
) -> Page[BookSummary] | CursorPage[BookSummary]:
    return await paginator(database, principal, grant)(BOOKS, query)


def paginator(
    database: Database, principal: Principal = STRANGER, grant: Grant | None = UNLIMITED
) -> Paginator:
    return Paginator(database.reader, CURSORS, principal, grant)


async def titles(database: Database, **asked: Any) -> list[str]:
    page = await ask(database, ListBooks.model_validate(asked))
    return sorted(row.title for row in page.items)
