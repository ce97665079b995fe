"""Shows that a stream has each row of its statement once, and refuses what would lose some."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, Text, cast, event, func, select

from backstay.core.messages import View
from backstay.core.streams import Stream
from backstay.db import measuring, streaming
from backstay.db.database import Database
from backstay.db.plain import Parameters, Rows
from backstay.db.session import Reader
from backstay.db.streaming import stream_rows
from backstay.testing.waiting import eventually
from tests.db.books import book, store
from tests.db.tables import Book, Mood, Shelf

pytestmark = pytest.mark.anyio


class BookRow(View):
    id: UUID
    title: str
    price: Decimal
    mood: Mood
    created_at: datetime
    note: str = "none"


class TextRow(View):
    id: UUID
    title: str


class Counted(View):
    pages: int
    number: int


BOOKS: Select[*tuple[Any, ...]] = select(
    Book.id, Book.title, Book.price, Book.mood, Book.created_at
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "ROWS_PER_BATCH", 7)


async def rows_of(stream: Stream[Any]) -> list[Any]:
    return [row async for batch in stream.pieces for row in batch]


@pytest.mark.parametrize(
    "key",
    [
        Book.id,
        (Book.title, Book.id),
        (Book.created_at, Book.price, Book.id),
        (Book.mood, Book.copies, Book.id),
        (func.lower(Book.title), Book.id),
    ],
    ids=["id", "title", "created_at", "mood", "lower title"],
)
@pytest.mark.parametrize("short", [0, measuring.SHORT])
async def test_each_row_is_read_once_in_key_order(
    many: Database, key: Any, short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "SHORT", short)
    keys = key if isinstance(key, tuple) else (key,)
    whole = await many.reader.rows(BOOKS.order_by(*keys))
    streamed = await rows_of(stream_rows(many.reader, BOOKS, BookRow, key=key))
    assert [row.id for row in streamed] == [row.id for row in whole]
    assert streamed == [BookRow.model_validate(row) for row in whole]


@pytest.mark.parametrize("short", [0, measuring.SHORT])
async def test_parameters_groups_and_joins_are_streamed(
    many: Database, short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "SHORT", short)
    some = BOOKS.outerjoin(Shelf).where(Book.pages == 2)
    streamed = await rows_of(stream_rows(many.reader, some, BookRow, key=Book.id))
    counted = select(Book.pages, func.count().label("number")).group_by(Book.pages)
    groups = await rows_of(stream_rows(many.reader, counted, Counted, key=Book.pages))
    assert {each.pages: each.number for each in groups}[2] == len(streamed)
    assert sum(each.number for each in groups) == 60


async def test_rows_added_meanwhile_do_no_harm(many: Database) -> None:
    stream = stream_rows(many.reader, BOOKS, BookRow, key=Book.id)
    first = await anext(stream.pieces)
    await store(many, [book(1000)])
    rest = await rows_of(stream)
    ids = [row.id for row in (*first, *rest)]
    assert len(ids) == len(set(ids)) == 61


async def test_a_batch_that_nobody_waits_for_ends_by_itself(many: Database) -> None:
    asked, may_answer, answered = asyncio.Event(), asyncio.Event(), list[int]()

    async def slow(statement: Any, parameters: Parameters = None) -> Rows:
        asked.set()
        await may_answer.wait()
        rows = await many.reader.rows(statement, parameters)
        answered.append(len(rows))
        return rows

    stream = stream_rows(Reader(slow), BOOKS, BookRow, key=Book.id)
    task = asyncio.create_task(rows_of(stream))
    await asked.wait()
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    may_answer.set()
    await eventually(lambda: answered == [7])


WRONG: dict[str, tuple[Any, Any, str]] = {
    "an order": (BOOKS.order_by(Book.id), Book.id, "remove its order_by"),
    "a limit": (BOOKS.limit(5), Book.id, "remove its order_by"),
    "a missing column": (select(Book.id), Book.id, "finds no column for `created_at`"),
    "a key that may be null": (BOOKS, (Book.place, Book.id), "test_books.place may be null"),
    "a key of many rows": (BOOKS, Book.title, "is not unique"),
    "a key of half a pair": (BOOKS, Book.pages, "add the primary key as its last column"),
    "a descending key": (BOOKS, Book.id.desc(), "ascending order"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_would_lose_rows_is_refused(many: Database, name: str) -> None:
    statement, key, told = WRONG[name]
    asked: list[str] = []

    def note(*args: Any) -> None:
        asked.append(args[2])

    event.listen(many.read_engine.sync_engine, "before_cursor_execute", note)
    with pytest.raises((ValueError, LookupError, TypeError), match=told):
        stream_rows(many.reader, statement, BookRow, key=key)
    event.remove(many.read_engine.sync_engine, "before_cursor_execute", note)
    assert not asked


async def test_the_bytes_of_a_batch_are_limited(
    many: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [3, 3, 3, 3, 3, 3, 3, 3, 90, 90, 3, 3, 0, 200, 3]
    books = [
        book(n + 100, subtitle="\u00e4" * length, copies=n - 100)
        for n, length in enumerate(lengths)
    ]
    await store(many, books)
    monkeypatch.setattr(streaming, "BYTES_PER_BATCH", 40)
    texts = select(Book.id, cast(Book.subtitle, Text).label("title")).where(Book.copies < 0)
    stream = stream_rows(many.reader, texts, TextRow, key=(Book.copies, Book.id))
    batches = [[len(row.title) for row in batch] async for batch in stream.pieces]
    assert [length for batch in batches for length in batch] == lengths
    assert max(2 * sum(batch[:-1]) for batch in batches) <= 40
    assert batches[0] == [3] * 7
