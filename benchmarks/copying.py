"""What `db copy` of a million items costs, in multiples of the drivers' own work on them.

The drivers read the rows with sqlite3, write them with COPY and read them back: nothing else, and
what turns the values of one into those of the other is not counted to them.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from rich.console import Console

from backstay.core.clock import new_id
from backstay.db import migrate, sqlite
from backstay.db.options import EngineOptions
from backstay.testing.postgres_server import PostgresServer

ROWS = 1_000_000
_AT_ONCE = 10_000
_COLUMNS = (
    "id", "title", "description", "owner_id", "deleted_at",
    "created_at", "updated_at", "created_by", "updated_by", "version",
)  # fmt: skip
_NAMES = ", ".join(_COLUMNS)


class Costs(NamedTuple):
    """Seconds of each part of the drivers' work, and of the whole command; its memory in MB."""

    read: float
    write: float
    read_back: float
    copy: float
    back: float
    memory: float
    copied: str

    @property
    def drivers(self) -> float:
        """All that the drivers do."""
        return self.read + self.write + self.read_back


def measure(rows: int = ROWS) -> Costs:
    """Copy a SQLite database with so many items to PostgreSQL and back, all in one run."""
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backstay.db"
        asyncio.run(migrate.upgrade(EngineOptions(f"sqlite+aiosqlite:///{file}")))
        _fill(file, rows)
        plain, target = postgres.create_database(), postgres.create_database()
        asyncio.run(
            migrate.upgrade(EngineOptions(plain.replace("postgresql:", "postgresql+asyncpg:", 1)))
        )
        read, write, read_back = asyncio.run(_drivers(file, plain))
        copy, memory, copied = _command(f"sqlite:///{file}", target, folder)
        back, _, _ = _command(target, f"sqlite:///{folder}/back.db", folder)
    return Costs(read, write, read_back, copy, back, memory, copied)


def show(costs: Costs) -> None:
    """Print the costs, and the ratio."""
    told = Console(highlight=False).print
    told(
        f"drivers: {costs.drivers:.1f} s (read {costs.read:.1f}, COPY {costs.write:.1f}, "
        f"read back {costs.read_back:.1f})"
    )
    told(f"db copy: {costs.copy:.1f} s, {costs.copy / costs.drivers:.2f} times the drivers alone")
    told(f"and back to SQLite: {costs.back:.1f} s; at most {costs.memory:.0f} MB")
    told(costs.copied)


def _fill(file: Path, rows: int) -> None:
    """Items of three owners, as the application writes them; a tenth is deleted."""
    start = datetime(2026, 1, 1)
    owners = [new_id().hex for _ in range(3)]
    with closing(sqlite.in_use().module.connect(file)) as connection:
        connection.executemany(
            "INSERT INTO users (id, email, password_hash, security_epoch, created_at, updated_at, "
            "version) VALUES (?, ?, '-', 0, ?, ?, 1)",
            [(owner, f"{owner}@example.com", *_times(start)) for owner in owners],
        )
        marks = ", ".join("?" * len(_COLUMNS))
        connection.executemany(
            f"INSERT INTO items ({_NAMES}) VALUES ({marks})",
            (_item(n, owners[n % 3], start + timedelta(seconds=n)) for n in range(rows)),
        )
        connection.commit()


def _item(number: int, owner: str, moment: datetime) -> tuple[Any, ...]:
    created, updated = _times(moment)
    text = "What is to be said of it. " * (number % 5)
    gone = None if number % 10 else updated
    return (new_id().hex, f"Item {number}", text, owner, gone, created, updated, owner, owner, 1)


def _times(moment: datetime) -> tuple[str, str]:
    later = moment + timedelta(microseconds=123_456)
    return moment.isoformat(" ", "microseconds"), later.isoformat(" ", "microseconds")


async def _drivers(file: Path, url: str) -> tuple[float, float, float]:
    """Seconds to read, to write and to read back, without what makes the values fit."""
    reading = writing = 0.0
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE items DROP CONSTRAINT fk_items_owner_id_users")
    with closing(sqlite.in_use().module.connect(file)) as source:
        cursor = source.execute(f"SELECT {_NAMES} FROM items ORDER BY rowid")
        while True:
            begun = time.perf_counter()
            rows = cursor.fetchmany(_AT_ONCE)
            reading += time.perf_counter() - begun
            if not rows:
                break
            records = [_record(row) for row in rows]
            begun = time.perf_counter()
            await connection.copy_records_to_table("items", records=records, columns=_COLUMNS)
            writing += time.perf_counter() - begun
    begun = time.perf_counter()
    async with connection.transaction():
        back = await connection.cursor(f"SELECT {_NAMES} FROM items")
        while await back.fetch(_AT_ONCE):
            pass
    read_back = time.perf_counter() - begun
    await connection.close()
    return reading, writing, read_back


def _record(row: Sequence[Any]) -> tuple[Any, ...]:
    key, title, text, owner, gone, created, updated, creator, changer, version = row
    gone, created, updated = (
        each and datetime.fromisoformat(each).replace(tzinfo=UTC)
        for each in (gone, created, updated)
    )
    key, owner, creator, changer = (UUID(each) for each in (key, owner, creator, changer))
    return key, title, text, owner, gone, created, updated, creator, changer, version


def _command(source: str, target: str, folder: str) -> tuple[float, float, str]:
    """The seconds of `db copy` with its start, its memory in MB, and its line about the items."""
    password = next((found for url in (source, target) if (found := urlsplit(url).password)), "")
    bare = target.replace(f":{password}@", "@") if password else target
    environ = os.environ | {"DB_URL": source, "PGPASSWORD": password, "LOG_LEVEL": "ERROR"}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "backstay", "db", "copy", "--to", bare],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("db copy failed")
    line = next(line for line in output.splitlines() if line.startswith("items "))
    return time.perf_counter() - begun, used.ru_maxrss / 1024, line


if __name__ == "__main__":
    show(measure(int(sys.argv[1]) if sys.argv[1:] else ROWS))
