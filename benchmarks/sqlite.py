"""What a SQLite and its journal cost: one writer and several readers, through our two engines."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from backstay.db import sqlite
from backstay.db.database import Database
from backstay.db.options import EngineOptions, create_file
from backstay.db.sqlite import Sqlite

SECONDS, READERS, WRITERS, ROWS = 0.7, 6, 4, 1000
JOURNALS = {"WAL": (3, 51, 3), "rollback": (3, 51, 2)}
"""The first sound version and the last that can corrupt: what a SQLite passes for."""
_READ = text("SELECT * FROM notes WHERE id = :id")
_WRITE = text("UPDATE notes SET body = :body WHERE id = :id")


class Rates(NamedTuple):
    """Statements per second: each kind alone, then both at once."""

    reads: float
    writes: float
    reads_beside_writes: float
    writes_beside_reads: float


def measure(rounds: int) -> dict[str, Rates]:
    """The median of several rounds, of each SQLite that is installed with each journal."""
    found: dict[str, list[Rates]] = {}
    for _ in range(rounds):
        for each in sqlite.installed():
            for journal, version in JOURNALS.items():
                name = f"{each.module.__package__} {each.version_text}, {journal}"
                found.setdefault(name, []).append(_measured(replace(each, version=version)))
    return {name: Rates(*map(median, zip(*rates, strict=True))) for name, rates in found.items()}


def show(rates: dict[str, Rates], rounds: int) -> None:
    """Print a row per SQLite and journal; in brackets, as a multiple of the first."""
    table = Table(title=f"median of {rounds} rounds of {SECONDS} s, per second")
    for heading in ("", "reads", "writes", "reads, both", "writes, both"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    first = next(iter(rates.values()))
    for name, figures in rates.items():
        cells = (f"{rate:.0f} ({rate / of:.2f})" for rate, of in zip(figures, first, strict=True))
        table.add_row(name, *cells)
    Console().print(table)


def _measured(used: Sqlite) -> Rates:
    before = sqlite.in_use
    vars(sqlite)["in_use"] = lambda: used
    try:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(_rates(Path(folder) / "notes.db"))
    finally:
        vars(sqlite)["in_use"] = before


async def _rates(file: Path) -> Rates:
    options = EngineOptions(f"sqlite+aiosqlite:///{file}", pool_timeout=30.0)
    create_file(options)
    database = Database(options)
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)"))
        rows = [{"id": number, "body": "x" * 200} for number in range(ROWS)]
        await connection.execute(text("INSERT INTO notes VALUES (:id, :body)"), rows)

    async def read(number: int) -> Any:
        return await database.reader.rows(_READ, {"id": number % ROWS})

    async def write(number: int) -> Any:
        return await database.write(_WRITE, {"id": number % ROWS, "body": f"{number:0>200}"})

    (reads,), (writes,) = await _per_second((READERS, read)), await _per_second((WRITERS, write))
    both = await _per_second((READERS, read), (WRITERS, write))
    await database.dispose()
    return Rates(reads, writes, *both)


async def _per_second(*kinds: tuple[int, Callable[[int], Awaitable[Any]]]) -> list[float]:
    """How often each kind is done by so many at once."""
    done = [0] * len(kinds)
    end = time.perf_counter() + SECONDS

    async def go_on(kind: int, act: Callable[[int], Awaitable[Any]]) -> None:
        for number in count():
            if time.perf_counter() > end:
                return
            await act(number)
            done[kind] += 1

    await asyncio.gather(
        *(go_on(kind, act) for kind, (many, act) in enumerate(kinds) for _ in range(many))
    )
    return [number / SECONDS for number in done]
