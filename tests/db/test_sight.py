"""Rows that commands read without a lock, and change if nobody else has."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import bindparam, event, func, select, text, update
from sqlalchemy.orm import Session

from backstay.core.clock import new_id
from backstay.core.errors import AppError
from backstay.db.database import Database
from backstay.db.pool import pool_of
from backstay.db.session import Transaction
from backstay.db.sight import Sight
from tests.db.conftest import Commands
from tests.db.tables import Book, Shelf, TitleTaken

pytestmark = pytest.mark.anyio

BOOKS = Sight(Book)
BY_ID = BOOKS.select.where(Book.id == bindparam("id"))
Change = Callable[[Transaction, Any], Awaitable[None]]


class Shop:
    """Changes one book, with what is counted: runs of the handler, and checkouts of connections."""

    def __init__(self, database: Database, command: Commands) -> None:
        self.database, self.command = database, command
        self.runs, self.checkouts = 0, 0
        self.is_sqlite = database.options.is_sqlite
        self.id = new_id()
        event.listen(database.writer.sync_engine, "checkout", self._count)

    def _count(self, *_: Any) -> None:
        self.checkouts += 1

    async def __call__(self, change: Change) -> None:
        async def work(session: Transaction) -> None:
            self.runs += 1
            found = await session.see(BOOKS, BY_ID, {"id": self.id})
            if found is None:
                locked = select(Book).where(Book.id == self.id).with_for_update()
                found = list(await session.scalars(locked))
            await change(session, found[0])

        await self.command(work)

    async def row(self) -> Any:
        columns = Book.pages, Book.copies, Book.version, Book.updated_at, Book.created_at
        return await self.database.reader.one_or_none(select(*columns).where(Book.id == self.id))

    async def by_somebody_else(self, **values: Any) -> None:
        async with self.database.writer.begin() as connection:
            await connection.execute(update(Book).where(Book.id == self.id).values(**values))


@pytest.fixture
async def shop(database: Database, command: Commands) -> Shop:
    made = Shop(database, command)

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(id=made.id, title="Typhoon", pages=0))

    await command(work)

    async def warm(session: Transaction, book: Any) -> None:
        book.pages = made.runs

    for _ in range(4):
        await made(warm)
    made.runs = made.checkouts = 0
    return made


async def _read_more(session: Transaction, book: Any) -> None:
    book.pages += 10
    await session.flush()
    book.copies = await session.scalar(select(Book.pages).where(Book.id == book.id)) or 0


async def test_a_change_needs_no_transaction_of_its_own(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        version = book.version
        book.pages = 7 + shop.runs
        await session.flush()
        assert (book.version, book.title) == (version + 1, "Typhoon")
        book.copies = 3
        await session.insert_one(Shelf(name="beside"))

    for _ in range(2):  # the second statement of a kind goes direct
        before, shop.checkouts = await shop.row(), 0
        await shop(change)
        row = await shop.row()
        assert (row.pages, row.copies) == (7 + shop.runs, 3)
        assert row.version == before.version + 1 + (shop.runs == 1)
        assert row.updated_at > before.updated_at
    assert (shop.runs, shop.checkouts) == (2, int(shop.is_sqlite))  # that of the shared commit
    assert await shop.database.reader.scalar(select(func.count()).select_from(Shelf)) == 2


async def test_a_row_that_nobody_changed_stays_as_it_is(shop: Shop) -> None:
    before = await shop.row()

    async def change(session: Transaction, book: Any) -> None:
        book.pages = before.pages
        await session.flush()

    await shop(change)
    assert await shop.row() == before


@pytest.mark.parametrize("values", [{"pages": 100}, {"copies": 100}, {"title": "Typhoon"}])
async def test_an_overtaken_command_runs_again_with_the_lock(
    shop: Shop, values: dict[str, Any]
) -> None:
    async def change(session: Transaction, book: Any) -> None:
        if shop.runs == 1:
            await shop.by_somebody_else(**values)
        book.pages += 1
        await session.insert_one(Shelf(name="beside"))

    before = await shop.row()
    await shop(change)
    row = await shop.row()
    is_same = shop.is_sqlite and "title" in values  # there it is compared by what it holds
    assert shop.runs == 2 - is_same
    assert row.pages == values.get("pages", before.pages) + 1
    assert row.copies == values.get("copies", before.copies)
    assert await shop.database.reader.scalar(select(func.count()).select_from(Shelf)) == 1


async def test_an_overtaken_row_is_noticed_though_it_is_only_read(shop: Shop) -> None:
    seen = []

    async def change(session: Transaction, book: Any) -> None:
        seen.append(book.pages)
        if shop.runs == 1:
            await shop.by_somebody_else(pages=100)
        await session.insert_one(Shelf(name=str(book.pages)))

    await shop(change)
    assert seen[-1] == 100
    assert await shop.database.reader.rows(select(Shelf.name)) == [("100",)]


async def test_a_session_that_is_used_locks_what_was_seen(shop: Shop) -> None:
    before = await shop.row()
    await shop(_read_more)
    row = await shop.row()
    assert (row.pages, row.copies) == (before.pages + 10, before.pages + 10)
    assert row.version == before.version + 2
    shop.checkouts = 0
    await shop(_read_more)  # from now on the lock comes first
    assert (shop.runs, shop.checkouts) == (2, 1)


async def test_a_late_lock_of_an_overtaken_row_runs_again(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        if shop.runs == 1:
            await shop.by_somebody_else(pages=100)
        await _read_more(session, book)

    await shop(change)
    row = await shop.row()
    assert (shop.runs, row.pages, row.copies) == (2, 110, 110)


async def test_twenty_changes_at_once_lose_none(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        pages = book.pages
        await anyio.sleep(0.001)
        book.pages = pages + 1

    before = await shop.row()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(shop, change)
    row = await shop.row()
    assert (row.pages, row.version) == (before.pages + 20, before.version + 20)
    assert pool_of(shop.database.writer).checkedout() == 0


async def test_a_violated_constraint_is_told_of_as_ever(shop: Shop) -> None:
    other = new_id()

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(id=other, title="Youth"))

    await shop.command(work)

    async def change(session: Transaction, book: Any) -> None:
        book.title = "Youth"

    before = await shop.row()
    for _ in range(2):
        with pytest.raises(TitleTaken):
            await shop(change)
    assert await shop.row() == before


async def test_an_error_of_the_handler_changes_nothing(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        book.pages = 100
        await session.flush()
        raise AppError

    before = await shop.row()
    with pytest.raises(AppError):
        await shop(change)
    assert await shop.row() == before
    assert shop.runs == 1


async def test_a_deleted_row_is_gone(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        book.pages = 5
        await session.delete(book)

    await shop(change)
    assert await shop.row() is None


async def test_a_change_by_sql_is_left_to_sqlalchemy(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        book.pages = Book.pages + text("5")

    before = await shop.row()
    await shop(change)
    assert (await shop.row()).pages == before.pages + 5


async def test_listeners_to_a_flush_miss_nothing(shop: Shop) -> None:
    heard: list[Any] = []

    def listen(session: Session, *_: Any) -> None:
        heard.extend(session.dirty)

    async def change(session: Transaction, book: Any) -> None:
        book.pages = 5

    event.listen(Session, "before_flush", listen)
    try:
        await shop(change)
    finally:
        event.remove(Session, "before_flush", listen)
    assert [type(row) for row in heard] == [Book]
    assert (await shop.row()).pages == 5


async def test_the_same_row_is_seen_once(shop: Shop) -> None:
    async def change(session: Transaction, book: Any) -> None:
        assert await session.see(BOOKS, BY_ID, {"id": shop.id}) == [book]
        book.pages = 99

    await shop(change)
    assert (await shop.row()).pages == 99
