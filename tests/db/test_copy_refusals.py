"""Shows what a copy refuses, with which sentence, and that it then has changed nothing."""

import asyncio
from contextlib import closing
from typing import Any

import asyncpg
import pytest

from backstay.db import migrate, sqlite
from backstay.db.copying.sides import CopyFailed
from backstay.db.engine import reader_engine
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions, driver_arguments
from backstay.db.sole_server import sole_server
from tests.db.copies import KEYS, Copies, asked, digests, rows_of

pytestmark = pytest.mark.anyio
THIRD = f"id = '{KEYS[2].hex}'"


class Stopped(Exception):
    """Ends a copy somewhere."""


async def refusal(copies: Copies, source: EngineOptions, target: EngineOptions) -> str:
    with pytest.raises(CopyFailed) as refused:
        await copies.copy(source, target)
    return str(refused.value)


async def test_a_target_with_rows_is_not_overwritten(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), await copies.migrated("sqlite")
    told = await refusal(copies, source, target)
    assert told.startswith("The target has rows in kinds, and a copy overwrites nothing. ")
    assert await migrate.state(target, copies.histories) is State.CURRENT
    await asked(target, "DELETE FROM kinds")
    await copies.copy(source, target)
    assert await rows_of(target) == await rows_of(source)
    assert "has rows in" in await refusal(copies, source, target)


async def test_tables_of_others_are_no_target(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("sqlite")
    assert target.file is not None
    with closing(sqlite.in_use().module.connect(target.file)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER)")
    assert "tables already (notes), which no migration made" in await refusal(
        copies, source, target
    )
    assert await refusal(copies, source, source) == "Source and target are the same database."


async def test_a_source_behind_is_migrated_first(copies: Copies) -> None:
    source = await copies.filled("sqlite")
    await asked(source, "DELETE FROM alembic_version")
    told = await refusal(copies, source, copies.new("sqlite"))
    assert told.startswith("The source, `sqlite")
    assert "run `backstay db upgrade`" in told
    assert "There is no database yet" in await refusal(
        copies, copies.new("sqlite"), copies.new("sqlite")
    )


async def test_what_no_migration_makes_is_told(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("sqlite")
    await asked(
        source, "CREATE TABLE mine (id INTEGER)", "ALTER TABLE things ADD COLUMN more INTEGER"
    )
    report = await copies.copy(source, target)
    assert [remark.partition(",")[0] for remark in report.remarks] == [
        "Not copied: things.more",
        "Not copied: mine",
    ]
    await asked(source, "ALTER TABLE things DROP COLUMN note")
    told = await refusal(copies, source, copies.new("sqlite"))
    assert told.startswith("The source lacks things.note, which its migrations make")


async def test_a_file_that_others_use_is_refused(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("sqlite")
    worker = reader_engine(source)
    async with worker.connect() as connection:
        await connection.exec_driver_sql("SELECT count(*) FROM jobs")
    told = await refusal(copies, source, target)  # its connection is idle
    await worker.dispose()
    assert told.startswith(f"Another process uses {source.file}: stop the servers and workers")
    with sole_server(source.file):
        assert "Another process uses" in await refusal(copies, source, target)
    with sole_server(target.file):
        assert "Another process uses" in await refusal(copies, source, target)
    await copies.copy(source, target)


async def test_nobody_writes_to_the_source_meanwhile(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("sqlite")
    refused: list[str] = []

    def write(*_: Any) -> None:
        with closing(sqlite.in_use().module.connect(str(source.file), timeout=0)) as connection:
            with pytest.raises(sqlite.in_use().module.OperationalError) as error:
                connection.execute("DELETE FROM things")
            refused.append(str(error.value))

    await copies.copy(source, target, write)
    assert set(refused) == {"database is locked"}


async def test_postgresql_that_others_use_is_refused(copies: Copies) -> None:
    used, other = copies.new("postgresql"), await copies.filled("sqlite")
    _, arguments = driver_arguments(used, "backstay")
    server = await asyncpg.connect(**arguments)
    assert "(backstay at 127.0.0.1): stop its servers" in await refusal(copies, other, used)
    await server.close()


async def test_rows_of_postgresql_are_locked_meanwhile(copies: Copies) -> None:
    source, target = await copies.filled("postgresql"), copies.new("sqlite")
    _, arguments = driver_arguments(source, "another")
    other = await asyncpg.connect(**arguments)
    await other.execute("SET lock_timeout = 1")
    tries: list[asyncio.Task[Any]] = []

    def write(*_: Any) -> None:
        if not tries:
            tries.append(asyncio.ensure_future(other.execute("DELETE FROM things")))

    await copies.copy(source, target, write)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await tries[0]
    await other.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_no_server_starts_on_half_a_copy(copies: Copies, kind: str) -> None:
    source, target = await copies.filled("sqlite"), copies.new(kind)

    def stop(table: str, *_: Any) -> None:
        if table == "things":
            raise Stopped

    with pytest.raises(Stopped):
        await copies.copy(source, target, stop)
    assert await migrate.state(target, copies.histories) is State.UNFINISHED
    with pytest.raises(MigrationError, match="A copy into this database has not ended"):
        await migrate.upgrade(target, histories=copies.histories)
    report = await copies.copy(source, target)
    assert await rows_of(target) == await rows_of(source)
    assert {each.table: each.kept for each in report.tables}["things"] == 5
    assert await migrate.state(target, copies.histories) is State.CURRENT


async def test_what_the_source_changed_is_copied_anew(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("postgresql")

    def stop(table: str, *_: Any) -> None:
        if table == "things":
            raise Stopped

    with pytest.raises(Stopped):
        await copies.copy(source, target, stop)
    await asked(source, f"UPDATE things SET note = 'new' WHERE {THIRD}", "DELETE FROM kinds")
    await asked(source, "UPDATE things SET kind_id = NULL")
    report = await copies.copy(source, target)
    assert await rows_of(target) == await rows_of(source)
    kept = {each.table: each.kept for each in report.tables}
    assert (kept["things"], kept["kinds"], kept["jobs"]) == (0, 0, 1)


WRONG = {
    "note = 'a' || char(0) || 'b'": "note has a NUL character",
    "name = 'a name of over twenty characters'": "name has 32 characters, and the column holds 20",
    "small = 'many'": "small is a text, not a whole number",
    "small = 70000": "small is out of the range of the column",
    "parent_id = 'nobody'": "parent_id is a text, not a UUID",
    "moment = 'yesterday'": "moment is a text, not a time",
    "is_open = 7": "is_open is a number, neither 0 nor 1",
    "raw = 'text'": "raw is a text, not bytes",
    "price = 'much'": "price is a text, not a number",
    "ratio = 'much'": "ratio is a text, not a number",
    "day = 5": "day is a number, not a date",
}


async def test_each_value_that_does_not_fit_is_named(copies: Copies) -> None:
    """SQLite holds any value in any column; where all are wrong, each is told of its row."""
    source, target = await copies.filled("sqlite"), copies.new("postgresql")
    for change, reason in WRONG.items():
        column = change.partition(" ")[0]
        (before,) = await asked(source, f"SELECT {column} FROM things WHERE {THIRD}")
        await asked(source, f"UPDATE things SET {change} WHERE {THIRD}")
        told = await refusal(copies, source, target)
        assert told.startswith("Rows of things do not fit into the target. ")
        assert f"id {KEYS[2].hex}: {reason}" in told
        await put(source, column, before)
    await copies.copy(source, target)
    assert await rows_of(target) == await rows_of(source)


async def put(options: EngineOptions, column: str, value: Any) -> None:
    with closing(sqlite.in_use().module.connect(str(options.file))) as connection:
        connection.execute(f"UPDATE things SET {column} = ? WHERE {THIRD}", (value,))
        connection.commit()


async def test_what_postgresql_refuses_is_named_by_its_row(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("postgresql")
    await asked(source, f"UPDATE things SET found = '[NaN]' WHERE {THIRD}")
    told = await refusal(copies, source, target)
    assert f"The row id {KEYS[2].hex}: found." in told
    await asked(source, f"UPDATE things SET found = '[]', name = 'Ärger' WHERE {THIRD}")
    await asked(source, f"UPDATE things SET name = 'ärger' WHERE id = '{KEYS[4].hex}'")
    told = await refusal(copies, source, target)
    assert "uq_things_lower_name" in told
    assert "(lower(name::text))=(ärger) already exists" in told


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_row_that_refers_to_nothing_is_refused(copies: Copies, kind: str) -> None:
    source, target = await copies.filled("sqlite"), copies.new(kind)
    await asked(
        source, "PRAGMA foreign_keys = OFF", f"UPDATE things SET kind_id = 99 WHERE {THIRD}"
    )
    told = await refusal(copies, source, target)
    assert ("Rows of things refer to" if kind == "sqlite" else "Key (kind_id)=(99)") in told
    assert await migrate.state(target, copies.histories) is State.UNFINISHED


async def test_rows_that_differ_are_named(copies: Copies) -> None:
    """Here somebody writes to the target, which nothing can keep from it."""
    source, target = await copies.filled("sqlite"), copies.new("sqlite")

    def meddle(table: str, *_: Any) -> None:
        if table == "things":
            with closing(sqlite.in_use().module.connect(str(target.file))) as connection:
                connection.execute(f"UPDATE things SET note = 'x' WHERE {THIRD}")
                connection.commit()

    with pytest.raises(CopyFailed) as refused:
        await copies.copy(source, target, meddle)
    key = f"id {KEYS[2].hex}"
    assert f"only in the source: {key}; only in the target: {key}." in str(refused.value)
    report = await copies.copy(source, target)
    assert {each.table: each.kept for each in report.tables}["things"] == 0
    assert digests(report)["things"][0] == 5
