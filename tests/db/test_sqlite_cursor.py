"""Shows how often SQLAlchemy switches to the thread of a SQLite connection, and what it gets."""

from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from backstay.db.engine import writer_engine
from backstay.db.options import EngineOptions, create_file

pytestmark = pytest.mark.anyio


@pytest.fixture
async def writer(tmp_path: Path) -> Any:
    options = EngineOptions(f"sqlite+aiosqlite:///{tmp_path / 'cursor.db'}")
    create_file(options)
    engine = writer_engine(options)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    yield engine
    await engine.dispose()


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is done in the threads of connections, from now on."""
    done = list[Any]()
    execute: Any = aiosqlite.Connection._execute

    async def note(self: aiosqlite.Connection, act: Any, *given: Any, **named: Any) -> Any:
        done.append(act)
        return await execute(self, act, *given, **named)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", note)
    return done


async def test_each_statement_switches_to_the_thread_once(
    writer: AsyncEngine, switches: list[Any]
) -> None:
    async with writer.begin() as connection:  # BEGIN
        await connection.execute(text("INSERT INTO numbers VALUES (1), (2)"))
        found = await connection.execute(text("SELECT n FROM numbers ORDER BY n"))
        assert found.scalars().all() == [1, 2]
    assert len(switches) == 5  # with COMMIT, and the pool's ROLLBACK


async def test_an_outcome_is_what_the_driver_says(writer: AsyncEngine) -> None:
    async with writer.begin() as connection:
        many = [{"n": number} for number in range(5)]
        assert (
            await connection.execute(text("INSERT INTO numbers VALUES (:n)"), many)
        ).rowcount == 5
        changed = await connection.execute(text("UPDATE numbers SET n = n + 10 WHERE n > 2"))
        assert changed.rowcount == 2
        gone = await connection.execute(text("DELETE FROM numbers WHERE n > 5 RETURNING n AS left"))
        assert [row.left for row in gone] == [13, 14]
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO numbers VALUES (1)"))
    assert await _numbers(writer) == [0, 1, 2]


async def _numbers(writer: AsyncEngine) -> list[int]:
    async with writer.connect() as connection:
        found = await connection.execute(text("SELECT n FROM numbers ORDER BY n"))
        return list(found.scalars())
