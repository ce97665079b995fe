"""Shows that one transaction per command loses no update, and that readers cannot write."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm.attributes import instance_state

from backstay.core.clock import new_id, utc_now
from backstay.core.errors import (
    AppError,
    Conflict,
    DatabaseFailed,
)
from backstay.db import faults
from backstay.db.database import Database
from backstay.db.queries import one_or_404
from backstay.db.session import CommitForbidden, Transaction
from tests.db.conftest import Commands
from tests.db.tables import Blurb, Book, Mood, PlaceTaken, Shelf, TitleTaken
from tests.logs import logged

pytestmark = pytest.mark.anyio


async def add(command: Commands, **values: Any) -> Book:
    async def work(session: Transaction) -> Book:
        book = Book(**{"title": "Moby-Dick"} | values)
        session.add(book)
        await session.flush()
        return book

    return await command(work)


async def test_twenty_writers_that_read_first_lose_no_update(
    database: Database, command: Commands
) -> None:
    book = await add(command)
    neighbour = Database(database.options)
    commands = [command, Commands(neighbour)]

    async def increment(session: Transaction) -> None:
        found = await one_or_404(session, select(Book).where(Book.id == book.id), lock=True)
        pages = found.pages
        await anyio.sleep(0.001)
        found.pages = pages + 1

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(commands[number % 2], increment)
    assert await neighbour.reader.scalar(select(Book.pages)) == 20
    await neighbour.dispose()


async def test_readers_cannot_write(database: Database, command: Commands) -> None:
    await add(command)
    with pytest.raises(DatabaseFailed):
        await database.reader.rows(text("DELETE FROM test_books RETURNING id"))
    assert await database.reader.scalar(text("SELECT count(*) FROM test_books")) == 1


async def test_only_the_step_commits(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        await session.commit()

    with pytest.raises(CommitForbidden):
        await command(work)


async def test_nothing_of_a_failed_command_is_kept(database: Database, command: Commands) -> None:
    async def work(session: Transaction) -> None:
        session.add(Book(title="Half"))
        await session.flush()
        raise Conflict

    with pytest.raises(Conflict):
        await command(work)
    assert await database.reader.scalar(text("SELECT count(*) FROM test_books")) == 0


async def test_a_constraint_checked_at_commit_fails_the_command(
    database: Database, command: Commands
) -> None:
    with pytest.raises(AppError) as caught:
        await add(command, shelf_id=new_id())
    assert caught.value.code in {"db_error", "db_integrity_error"}
    assert await database.reader.scalar(text("SELECT count(*) FROM test_books")) == 0
    await add(command)


async def test_a_commit_that_fails_is_never_a_success(
    database: Database, command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> None:
        raise database.writer.dialect.loaded_dbapi.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(database.writer.dialect, "do_commit", fail)
        with pytest.raises(DatabaseFailed, match="nothing of it was kept"):
            await add(command)
    assert await database.reader.scalar(text("SELECT count(*) FROM test_books")) == 0
    await add(command)


async def test_a_unique_index_has_its_own_error(command: Commands) -> None:
    await add(command)
    with pytest.raises(TitleTaken):
        await add(command)


async def test_a_unique_constraint_of_several_columns_has_its_own_error(command: Commands) -> None:
    shelf = Shelf(name="A")

    async def build(session: Transaction) -> None:
        session.add(shelf)

    await command(build)
    await add(command, title="One", shelf_id=shelf.id, place=1)
    with pytest.raises(PlaceTaken):
        await add(command, title="Two", shelf_id=shelf.id, place=1)


async def test_another_violation_is_a_plain_conflict(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        await session.execute(text("UPDATE test_books SET title = NULL"))

    await add(command)
    with logged(faults) as lines, pytest.raises(Conflict) as refused:
        await command(work)
    assert refused.value.code == "db_integrity_error"
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "the database refused a change")
    assert "title" in line["reason"]


async def test_a_violated_foreign_key_is_told_as_one(command: Commands, database_kind: str) -> None:
    async def work(session: Transaction) -> None:
        await session.insert_one(Blurb(book_id=new_id()))

    with logged(faults) as lines, pytest.raises(Conflict, match="would refer to one") as refused:
        await command(work)
    assert refused.value.code == "db_integrity_error"
    if database_kind == "postgresql":  # SQLite names neither
        assert "a row of test_blurbs" in refused.value.detail
        assert lines[0]["table"] == "test_blurbs"
        assert lines[0]["constraint"].startswith("fk_test_blurbs")


async def test_concurrent_changes_of_one_row_do_not_overwrite_each_other(command: Commands) -> None:
    seen = await add(command)

    async def change(session: Transaction) -> None:
        book = await session.merge(seen)
        book.title = f"Changed by {id(session)}"

    await command(change)
    with pytest.raises(Conflict):
        await command(change)


async def test_rows_are_stamped(command: Commands) -> None:
    author, editor = new_id(), new_id()

    async def create(session: Transaction) -> Book:
        book = Book(title="Stamped")
        session.add(book)
        await session.flush()
        return book

    async def edit(session: Transaction) -> Book:
        found = await one_or_404(session, select(Book))
        found.title = "Edited"
        return found

    created = await command(create, author=author)
    edited = await command(edit, author=editor)
    assert (created.created_by, created.updated_by, created.version) == (author, author, 1)
    assert (edited.created_by, edited.updated_by, edited.version) == (author, editor, 2)
    assert edited.created_at == created.created_at < edited.updated_at <= utc_now()


async def test_times_keep_their_zone(command: Commands, database: Database) -> None:
    moment = datetime(2026, 7, 1, 12, 30, 15, 123456, timezone(timedelta(hours=5, minutes=30)))
    await add(command, printed_at=moment, mood=Mood.GRIM)
    found, mood = (await database.reader.rows(select(Book.printed_at, Book.mood)))[0]
    assert found == moment
    assert found.tzinfo is UTC
    assert mood is Mood.GRIM


async def test_a_time_without_a_zone_is_refused(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        session.add(Book(title="Naive", printed_at=datetime(2026, 7, 1)))
        with pytest.raises(StatementError, match="without a zone"):
            await session.flush()
        await session.rollback()

    await command(work)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), TimeoutError()])
async def test_errors_of_a_handler_are_not_the_databases(command: Commands, error: OSError) -> None:
    async def work(session: Transaction) -> None:
        await session.scalar(text("SELECT 1"))
        raise error

    with pytest.raises(type(error)):
        await command(work)


async def test_rows_that_are_only_inserted_need_no_session_of_sqlalchemy(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> tuple[Book, bool]:
        book = await session.insert_one(Book(title=f"book {new_id()}"))
        await session.flush()
        return book, "sync_session" in vars(session)

    await command(work)
    if database.writer.dialect.name == "postgresql":  # a flush sends what is pending
        assert (await command(work))[1]
    title = select(Book.title).where(Book.id == (await command(work))[0].id)
    assert await database.reader.scalar(title) is not None


async def test_a_row_is_in_the_session_that_inserted_it(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        book = await session.insert_one(Book(title=f"book {new_id()}"))
        assert await session.get(Book, book.id) is book
        assert book in session
        with pytest.raises(AttributeError):
            session.nothing  # type: ignore[attr-defined]  # noqa: B018

    await command(work)


async def test_a_change_after_the_insert_is_written(database: Database, command: Commands) -> None:
    async def work(session: Transaction) -> Book:
        book = await session.insert_one(Book(title=f"book {new_id()}", pages=1))
        book.pages = 7
        return book

    for _ in range(3):
        book = await command(work)
        stored = select(Book.pages, Book.version).where(Book.id == book.id)
        assert tuple(await database.reader.one_or_none(stored)) == (7, 2)


async def test_a_row_with_relations_is_held_at_once(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        book = await session.insert_one(Book(title="Typhoon"))
        blurb = await session.insert_one(Blurb(book_id=book.id, text="good"))
        assert instance_state(blurb).session is session.sync_session
        assert await session.run_sync(lambda _: blurb.book) is book

    await command(work)
