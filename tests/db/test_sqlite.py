"""Shows that a SQLite that can corrupt files in WAL mode does not use that mode silently."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import anyio
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from backstay.db import engine as engines
from backstay.db import sqlite
from backstay.db.database import Database
from backstay.db.engine import reader_engine, writer_engine
from backstay.db.options import EngineOptions, create_file
from backstay.db.session import Transaction
from backstay.db.sqlite import Sqlite, Version, first_sound, is_affected
from backstay.testing.waiting import LIMIT
from tests.db.books import book, store
from tests.db.conftest import Commands
from tests.db.tables import Book
from tests.files import affected, look_into
from tests.logs import logged

pytestmark = pytest.mark.anyio
EITHER = pytest.mark.parametrize("make", [reader_engine, writer_engine])
AFFECTED, SOUND = (3, 51, 2), (3, 51, 3)


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


def in_wal_mode(file: Path) -> None:
    """Make a file that was last written in WAL mode."""
    with look_into(file) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE notes (id INTEGER)")
        connection.execute("INSERT INTO notes VALUES (1)")


async def mode(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(text("PRAGMA journal_mode")))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 44, 7), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 0), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((3, 53, 4), False),
        ((4, 0, 0), False),
    ],
)
def test_versions_that_can_corrupt_files_are_recognised(version: Version, expected: bool) -> None:
    assert is_affected(version) is expected


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ((SOUND,), 0),
        ((SOUND, SOUND), 0),
        ((AFFECTED, SOUND), 1),
        ((AFFECTED, AFFECTED), 0),
        ((AFFECTED,), 0),
    ],
)
def test_the_first_that_is_sound_is_used(versions: tuple[Version, ...], chosen: int) -> None:
    found = [Sqlite(ModuleType(f"{number}"), version) for number, version in enumerate(versions)]
    assert first_sound(found) is found[chosen]


def test_the_sqlite3_module_of_python_is_left_unchanged() -> None:
    assert sys.modules["sqlite3"] is sqlite3
    assert sqlite3.connect.__module__ == "_sqlite3"
    assert next(sqlite.installed()).module is sqlite3


def test_an_installed_pysqlite3_provides_a_sound_sqlite() -> None:
    pytest.importorskip("pysqlite3")
    assert not first_sound(sqlite.installed()).is_affected


@EITHER
async def test_error_classes_are_those_of_the_sqlite_in_use(
    options: EngineOptions, make: type
) -> None:
    create_file(options)
    engine = make(options)
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        version = await connection.scalar(text("SELECT sqlite_version()"))
        with pytest.raises(sqlite.in_use().module.OperationalError):
            await driver.execute("SELECT nothing")
    assert version == sqlite.in_use().module.sqlite_version
    await engine.dispose()


@pytest.mark.parametrize("used", [sqlite.in_use(), affected()])
async def test_a_connection_closed_during_a_statement_keeps_no_lock(
    file: Path, used: Sqlite
) -> None:
    with closing(used.module.connect(file, isolation_level=None, timeout=0)) as other:
        other.execute("CREATE TABLE notes (id INTEGER)")
        other.execute("INSERT INTO notes VALUES (1), (2)")
        reading = await used.connect(str(file))
        unread = await reading.cursor()
        await unread.execute("SELECT * FROM notes")
        with pytest.raises(used.module.OperationalError, match="locked"):
            other.execute("DELETE FROM notes")
        await reading.close()
        await reading.close()
        assert other.execute("DELETE FROM notes").rowcount == 2
    del unread


async def test_stopping_a_closing_connection_ends_the_wait_for_it(
    file: Path,
) -> None:
    connection = await sqlite.in_use().connect(str(file))
    closed = asyncio.ensure_future(connection.close())
    await asyncio.sleep(0)
    connection.stop()
    closed.cancel()
    done, _ = await asyncio.wait({closed}, timeout=LIMIT)
    assert done


class TestOneThatIsSound:
    @pytest.fixture(autouse=True)
    def sound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite, "in_use", lambda: Sqlite(sqlite3, SOUND))

    @EITHER
    async def test_a_sound_sqlite_writes_in_wal_mode(
        self, options: EngineOptions, make: type
    ) -> None:
        create_file(options)
        engine = make(options)
        assert await mode(engine) == "wal"
        await engine.dispose()


@pytest.mark.usefixtures("affected_sqlite")
class TestOneThatIsAffected:
    @EITHER
    async def test_a_new_file_is_not_in_wal_mode(self, options: EngineOptions, make: type) -> None:
        create_file(options)
        engine = make(options)
        with logged(engines) as logs:
            assert await mode(engine) == "truncate"
        assert logs == []
        await engine.dispose()

    async def test_commits_are_synced_to_disk(self, options: EngineOptions) -> None:
        create_file(options)
        engine = writer_engine(options)
        async with engine.connect() as connection:
            assert await connection.scalar(text("PRAGMA synchronous")) == 2
        await engine.dispose()

    @EITHER
    async def test_a_file_leaves_wal_mode_with_every_row(
        self, options: EngineOptions, file: Path, make: type
    ) -> None:
        in_wal_mode(file)
        engine = make(options)
        assert await mode(engine) == "truncate"
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM notes")) == 1
        await engine.dispose()
        with look_into(file) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)

    @EITHER
    async def test_wal_mode_held_by_others_is_logged_until_left(
        self, options: EngineOptions, file: Path, make: type
    ) -> None:
        in_wal_mode(file)
        engine = make(options)
        with look_into(file) as other:
            other.execute("SELECT * FROM notes").fetchall()
            with logged(engines) as logs:
                assert await mode(engine) == "wal"
        (told,) = logs
        assert (told["log_level"], told["sqlite"]) == ("error", "3.40.1")
        assert "corrupt" in told["event"]
        assert "pysqlite3" in told["mend"]
        await engine.dispose()
        with logged(engines) as logs:
            assert await mode(engine) == "truncate"
        assert logs == []
        await engine.dispose()

    async def test_writers_that_read_first_and_readers_lose_nothing(
        self, database: Database, command: Commands
    ) -> None:
        await store(database, [book(1)])
        neighbour = Database(database.options)
        commands, seen = [command, Commands(neighbour)], list[int]()

        async def add_one(session: Transaction) -> None:
            (found,) = await session.scalars(select(Book))
            found.pages += 1

        async def write(number: int) -> None:
            await commands[number % 2](add_one)
            seen.append(await neighbour.reader.scalar(select(Book.pages)))

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(write, number)
        assert len(seen) == 20
        assert await neighbour.reader.scalar(select(Book.pages)) == 20
        await neighbour.dispose()
