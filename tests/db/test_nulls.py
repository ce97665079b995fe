"""Shows that null sort keys come last in both directions, in every way of paging."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import outerjoin

from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import View
from backstay.core.permissions import PUBLIC
from backstay.db.database import Database
from backstay.db.list_statements import Shape
from backstay.db.listing import Listing
from tests.db.books import book, paginator, store
from tests.db.conftest import Commands
from tests.db.tables import Book, Mood, Shelf
from tests.examples import examples

pytestmark = pytest.mark.anyio

NAMES = ("subtitle", "place", "printed_at", "shelf", "pages", "mood")


class PlacedBook(View):
    id: UUID
    subtitle: str | None
    place: int | None
    printed_at: datetime | None
    shelf: str | None
    pages: int
    mood: Mood


class ListPlacedBooks(ListQuery[PlacedBook]):
    permission = PUBLIC
    sortable = NAMES

    subtitle: Text | None = None
    place: Range[int] | None = None
    printed_at: Range[datetime] | None = None
    shelf: Text | None = None
    pages: Range[int] | None = None
    mood: Equals[Mood] | None = None


PLACED = Listing(
    ListPlacedBooks,
    Book,
    PlacedBook,
    from_=outerjoin(Book, Shelf, Shelf.id == Book.shelf_id),
    columns={"shelf": Shelf.name},
)
sorts = st.permutations(NAMES).flatmap(
    lambda names: st.lists(st.sampled_from(["", "-"]), min_size=1, max_size=3).map(
        lambda signs: [sign + name for sign, name in zip(signs, names, strict=False)]
    )
)


@pytest.fixture
async def gaps(database: Database, command: Commands) -> Database:
    """Books of which many lack what they are sorted by."""
    chance = random.Random(3)
    start = datetime(2026, 1, 1, tzinfo=UTC)

    async def fill(session: Any) -> list[UUID]:
        shelves = [Shelf(name=name) for name in "BA"]
        session.add_all(shelves)
        await session.flush()
        return [shelf.id for shelf in shelves]

    shelves = [None, *await command(fill)]
    rows = [
        book(
            number,
            subtitle=chance.choice([None, "", "x", "y"]),
            place=None if shelf_id else chance.choice([None, -1, 0, 1]),
            printed_at=chance.choice([None, start, start + timedelta(days=1)]),
            shelf_id=shelf_id,
            pages=chance.randrange(2),
            mood=chance.choice(list(Mood)),
        )
        for number, shelf_id in enumerate(chance.choices(shelves, k=30))
    ]
    await store(database, rows)
    return database


def in_order(rows: list[PlacedBook], sort: list[str]) -> list[PlacedBook]:
    """What Python makes of a sort: nulls last, then the id in the direction of the last key."""
    ordered = sorted(rows, key=lambda row: row.id, reverse=sort[-1][0] == "-")
    for key in reversed(sort):
        name = key.removeprefix("-")
        there = [row for row in ordered if getattr(row, name) is not None]
        absent = [row for row in ordered if getattr(row, name) is None]
        there.sort(key=lambda row, name=name: getattr(row, name), reverse=key[0] == "-")  # type: ignore[misc]
        ordered = [*there, *absent]
    return ordered


async def asked(database: Database, **given: Any) -> Any:
    return await paginator(database)(PLACED, ListPlacedBooks.model_validate(given))


async def walk(database: Database, cursor: str | None, **query: Any) -> list[CursorPage[Any]]:
    """All pages forwards from a cursor, or from the first row."""
    seen = [await asked(database, **query, **({"cursor": cursor} if cursor else {}))]
    while seen[-1].next_cursor is not None:
        seen.append(await asked(database, **query, cursor=seen[-1].next_cursor))
    return seen


async def back(database: Database, cursor: str | None, limit: int) -> list[PlacedBook]:
    """All rows in front of a position, read backwards."""
    rows: list[PlacedBook] = []
    while cursor is not None:
        page = await asked(database, cursor=cursor, limit=limit)
        rows, cursor = [*page.items, *rows], page.prev_cursor
    return rows


@examples(25)
@given(sort=sorts, limit=st.integers(1, 11))
async def test_nulls_are_last_however_a_list_is_paged(
    gaps: Database, sort: list[str], limit: int
) -> None:
    whole = await asked(gaps, per_page=1000, sort=sort)
    assert isinstance(whole, Page)
    expected = in_order(list(whole.items), sort)
    assert list(whole.items) == expected
    numbered = await asked(gaps, per_page=limit, page=2, sort=sort)
    assert list(numbered.items) == expected[limit : 2 * limit]
    pages = await walk(gaps, None, sort=sort, limit=limit)
    assert [row for page in pages for row in page.items] == expected
    before = await back(gaps, pages[-1].prev_cursor, limit)
    assert [*before, *pages[-1].items] == expected


def test_an_index_leads_to_a_position_among_nulls() -> None:
    for sort in ("printed_at", "-printed_at"):
        shape = Shape(own=False, searched=False, conditions=(), sort=(sort,))
        for part in ("forward", "backward"):
            told = shape._replace(part=part, nulls=(False, False), region="values")
            values = str(PLACED.statement(told))
            nulls = str(PLACED.statement(told._replace(nulls=(True, False), region="nulls")))
            assert "OR" not in (values + nulls).replace("ORDER", "")
            assert "NULLS" not in values + nulls
            assert "(test_books.printed_at, test_books.id)" in values
            assert "test_books.printed_at IS NULL AND" in nulls
