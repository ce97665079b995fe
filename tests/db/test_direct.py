"""Statements that go straight to the driver, beside the same ones run by SQLAlchemy."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Executable, bindparam, event, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from backstay.core.clock import new_id, utc_now
from backstay.core.errors import AppError, DatabaseFailed, Invalid
from backstay.db.base import SecondsFromNow
from backstay.db.database import Database
from backstay.db.plain import PlainStatement
from backstay.db.pool import SharedPool, pool_of
from backstay.db.session import Transaction
from backstay.jobs.statements import CHANNEL, NOTIFY_OF
from backstay.testing.waiting import eventually
from tests.db.conftest import Commands
from tests.db.tables import Blurb, Book, Mood, Shelf, TitleTaken

pytestmark = pytest.mark.anyio

BY_TITLE = select(Book.id, Book.title, Book.pages).where(Book.title == bindparam("title"))
EVERYTHING: dict[str, Executable] = {
    "every column": select(*Book.__table__.columns).order_by(Book.title),
    "an entity": select(Book).order_by(Book.title),
    "labels": select(Book.price.label("cost"), Book.printed_at.label("when")).order_by(Book.title),
    "an aggregate": select(func.count(), func.max(Book.price), func.sum(Book.pages)),
    "a constant": select(Book.title).where(Book.mood == Mood.GRIM),
    "the time": select(Book.title).where(Book.created_at < SecondsFromNow(60.0)),
    "a list of values": select(Book.title).where(Book.pages.in_([1, 2])).order_by(Book.title),
    "two of one name": select(Book.id, Shelf.id).join(Shelf, Shelf.id == Book.shelf_id),
    "raw text": text("SELECT title FROM test_books ORDER BY title"),
}


@pytest.fixture
async def books(command: Commands) -> tuple[UUID, UUID]:
    shelf, ids = Shelf(name="sea"), (new_id(), new_id())

    async def work(session: Transaction) -> None:
        await session.insert_one(shelf)
        first = {"title": "Typhoon", "mood": Mood.GRIM, "price": "12.50", "printed_at": utc_now()}
        await session.insert_one(Book(id=ids[0], pages=1, shelf_id=shelf.id, **first))
        await session.insert_one(Book(id=ids[1], title="Youth", pages=2, subtitle="œ"))

    await command(work)
    return ids


@pytest.fixture
async def checkouts(database: Database) -> list[object]:
    """The connections that SQLAlchemy has taken out of both pools."""
    taken: list[object] = []
    engines = [database.read_engine.sync_engine, database.writer.sync_engine]
    for engine in engines:
        event.listen(engine, "checkout", lambda connection, *_: taken.append(connection))
    return taken


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("name", EVERYTHING)
async def test_the_rows_are_those_of_sqlalchemy(database: Database, name: str) -> None:
    statement = EVERYTHING[name]
    async with database.read_engine.connect() as connection:
        expected = (await connection.execute(statement)).all()
    for _ in range(3):
        found = await database.reader.rows(statement)
        assert found == expected
        assert [list(map(type, row)) for row in found] == [list(map(type, r)) for r in expected]
        assert [row._fields for row in found] == [row._fields for row in expected]


@pytest.mark.usefixtures("books")
async def test_a_repeated_read_needs_no_checkout(
    database: Database, checkouts: list[object]
) -> None:
    for title in ("Typhoon", "Youth", "Typhoon"):
        row = await database.reader.one_or_none(BY_TITLE, {"title": title})
        assert row.title == title
    assert len(checkouts) == 1
    assert _is_at_rest(pool_of(database.read_engine))


@pytest.mark.usefixtures("books")
async def test_somebody_who_listens_to_statements_misses_none(database: Database) -> None:
    seen: list[str] = []
    for _ in range(2):
        await database.reader.rows(BY_TITLE, {"title": "Youth"})
    engine = database.read_engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    await database.reader.rows(BY_TITLE, {"title": "Youth"})
    assert len(seen) == 1


async def test_a_missing_parameter_is_told_of(database: Database) -> None:
    for given in ({"title": "x"}, {"title": "x"}, {"name": "x"}):
        with suppress(DatabaseFailed):
            await database.reader.rows(BY_TITLE, given)
    with pytest.raises(DatabaseFailed):
        await database.reader.rows(BY_TITLE, {"name": "x"})


async def test_a_value_that_cannot_be_stored_is_refused(database: Database) -> None:
    pages = select(Book.id).where(Book.copies == bindparam("copies"))
    for _ in range(2):
        await database.reader.rows(pages, {"copies": 1})
    with pytest.raises(Invalid):
        await database.reader.rows(pages, {"copies": 2**70})
    assert _is_at_rest(pool_of(database.read_engine))


@pytest.mark.usefixtures("books")
async def test_a_cancelled_read_leaves_no_connection_behind(database: Database) -> None:
    pool = pool_of(database.read_engine)
    for _ in range(2):
        await database.reader.rows(BY_TITLE, {"title": "Youth"})
    for _ in range(30):
        task = asyncio.ensure_future(database.reader.rows(BY_TITLE, {"title": "Typhoon"}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        row = await database.reader.one_or_none(BY_TITLE, {"title": "Youth"})
        assert row.title == "Youth"
    await eventually(lambda: _is_at_rest(pool))


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_killed_connection_is_replaced(database: Database) -> None:
    for _ in range(2):
        await database.reader.rows(BY_TITLE, {"title": "Youth"})
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    async with database.probing() as connection:
        await connection.execute(text(f"{kill} AND datname = current_database()"))
    for _ in range(3):
        row = await database.reader.one_or_none(BY_TITLE, {"title": "Youth"})
        assert row.title == "Youth"
    assert _is_at_rest(pool_of(database.read_engine))


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_plain_inserts_commit_as_one_statement(
    database: Database, command: Commands, checkouts: list[object]
) -> None:
    async def work(session: Transaction) -> UUID:
        book = await session.insert_one(Book(title=f"book {new_id()}"))
        await session.insert_one(Blurb(book_id=book.id, text="good"))
        return book.id

    for _ in range(2):
        await command(work)
    before = len(checkouts)
    found = await command(work)
    assert len(checkouts) == before
    blurb = select(Blurb.text).where(Blurb.book_id == found)
    assert await database.reader.scalar(blurb) == "good"
    assert _is_at_rest(pool_of(database.writer))


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_notification_is_sent_with_the_rows_beside_it(
    database: Database, command: Commands, checkouts: list[object]
) -> None:
    heard: list[str] = []

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(title=f"book {new_id()}"))
        await session.write_soon(NOTIFY_OF, {"told": f"queue {len(heard)}"})

    async with database.writer.connect() as connection:
        listening: Any = (await connection.get_raw_connection()).driver_connection
        await listening.add_listener(CHANNEL, lambda *told: heard.append(told[-1]))
        for number in range(3):
            before = len(checkouts)
            await command(work)
            await eventually(lambda: len(heard) > number)  # noqa: B023
        assert len(checkouts) == before
    assert heard == ["queue 0", "queue 1", "queue 2"]


async def test_a_refused_row_leaves_nothing_of_its_command(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> None:
        await session.insert_one(Shelf(name="new"))
        await session.insert_one(Book(title="Typhoon"))

    await command(work)
    for _ in range(3):
        with pytest.raises(TitleTaken):
            await command(work)
    assert await database.reader.scalar(select(func.count()).select_from(Shelf)) == 1
    assert _is_at_rest(pool_of(database.writer))


async def test_a_handler_sees_a_refusal_in_a_savepoint(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> bool:
        await session.insert_one(Shelf(name="kept"))
        try:
            async with session.begin_nested():
                await session.insert_one(Book(title="Typhoon"))
        except Exception:
            return False
        return True

    assert [await command(work) for _ in range(3)] == [True, False, False]
    assert await database.reader.scalar(select(func.count()).select_from(Shelf)) == 3


async def test_pending_rows_precede_whatever_uses_the_session(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> Any:
        book = await session.insert_one(Book(title=f"book {new_id()}", pages=1))
        seen = await session.scalar(select(Book.pages).where(Book.id == book.id))
        book.pages = 2
        await session.flush()
        await session.execute(update(Book).where(Book.id == book.id).values(copies=Book.pages))
        return seen, book.id

    for _ in range(3):
        seen, book_id = await command(work)
        assert seen == 1
        assert await database.reader.scalar(select(Book.copies).where(Book.id == book_id)) == 2


async def test_an_error_of_the_handler_drops_pending_rows(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> None:
        await session.insert_one(Shelf(name="lost"))
        raise AppError

    for _ in range(3):
        with pytest.raises(AppError):
            await command(work)
    assert await database.reader.scalar(select(func.count()).select_from(Shelf)) == 0


async def test_other_columns_than_before_are_not_forgotten(database: Database) -> None:
    values = {"id": new_id(), "name": "a", "created_at": utc_now(), "updated_at": utc_now()}
    statement = insert(Shelf)
    for more in ({}, {}, {"created_by": new_id()}):
        await database.write(statement, values | {"id": new_id(), "version": 1} | more)
    authors = await database.reader.rows(select(Shelf.created_by).order_by(Shelf.created_by))
    assert sum(row.created_by is not None for row in authors) == 1


async def test_a_statement_is_plain_only_if_its_sql_is_complete(database: Database) -> None:
    dialect = database.read_engine.dialect
    plain = {name: PlainStatement.of(each, dialect, None) for name, each in EVERYTHING.items()}
    assert {name for name, each in plain.items() if each is None} == {
        "a list of values",
        "raw text",
        *({"an aggregate"} if dialect.name == "postgresql" else ()),
    }


def _is_at_rest(pool: SharedPool) -> bool:
    return pool.checkedout() == 0 and pool.open == len(pool.idle)


async def test_a_handler_sees_a_refusal_after_a_flush(
    database: Database, command: Commands
) -> None:
    seen: list[str] = []

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(title="Typhoon"))
        try:
            await session.flush()
        except IntegrityError:
            seen.append("refused")
            raise

    await command(work)
    for _ in range(2):
        with pytest.raises(TitleTaken):
            await command(work)
    assert seen == ["refused", "refused"]
