"""What settings of SQLite save: reads by key and small transactions, through the driver alone."""

import random
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from backstay.core.clock import new_id
from backstay.db import sqlite

ROWS, READS, WRITES = 200_000, 20_000, 10_000
SETTINGS = {
    "as Backstay sets it": (),
    "mmap_size 256 MiB": ("mmap_size = 268435456",),
    "cache_size 16 MiB": ("cache_size = -16384",),
    "wal_autocheckpoint 250": ("wal_autocheckpoint = 250",),
    "wal_autocheckpoint 4000": ("wal_autocheckpoint = 4000",),
    "wal_autocheckpoint 16000": ("wal_autocheckpoint = 16000",),
    "temp_store memory": ("temp_store = MEMORY",),
}
"""Each beside the others; the default of `wal_autocheckpoint` is 1000 pages of 4 KiB."""
_TABLE = (
    "CREATE TABLE notes (id CHAR(32) PRIMARY KEY, owner CHAR(32), body TEXT) ",
    "CREATE INDEX of_owner ON notes (owner, id)",
    "CREATE TABLE audit (id CHAR(32) PRIMARY KEY, owner CHAR(32), about TEXT)",
)


class Costs(NamedTuple):
    """CPU µs of a read and of a transaction; its p99 and longest time in ms; the log in MiB."""

    read: float
    write: float
    p99: float
    longest: float
    log: float


def measure(rounds: int) -> dict[str, Costs]:
    """The median of several rounds of each setting, in turn, each on a file of its own."""
    found: dict[str, list[Costs]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, pragmas in SETTINGS.items():
                file = Path(folder) / "notes.db"
                found[name].append(_measured(file, pragmas))
                for made in Path(folder).iterdir():
                    made.unlink()
    return {name: Costs(*map(median, zip(*each, strict=True))) for name, each in found.items()}


def show(costs: dict[str, Costs], rounds: int) -> None:
    """Print a row per setting; p99 and the longest time are those of writes."""
    table = Table(title=f"SQLite, median of {rounds} rounds")
    for heading in ("", "read µs", "write µs", "p99 ms", "longest ms", "log MiB"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, each in costs.items():
        table.add_row(
            name,
            f"{each.read:.1f}",
            f"{each.write:.1f}",
            f"{each.p99:.2f}",
            f"{each.longest:.1f}",
            f"{each.log:.0f}",
        )
    Console().print(table)


def _measured(file: Path, pragmas: tuple[str, ...]) -> Costs:
    used, owners = sqlite.in_use(), [new_id().hex for _ in range(100)]
    rows = [(new_id().hex, owners[n % 100], f"{n:0>120}") for n in range(ROWS)]
    with closing(used.module.connect(file, isolation_level=None)) as connection:
        for pragma in (*used.pragmas, *pragmas):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        for statement in _TABLE:
            connection.execute(statement)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO notes VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        read = _read(connection, [row[0] for row in random.Random(1).sample(rows, READS)])
        write, took = _write(connection, owners)
        log = file.with_name(f"{file.name}-wal")
        size = log.stat().st_size / 2**20 if log.exists() else 0.0
    return Costs(read, write, quantiles(took, n=100)[-1] * 1000, max(took) * 1000, size)


def _read(connection: Any, keys: list[str]) -> float:
    """CPU microseconds of a read by key; few of the pages are in the cache."""
    began = time.thread_time()
    for key in keys:
        connection.execute("SELECT * FROM notes WHERE id = ?", (key,)).fetchone()
    return (time.thread_time() - began) / len(keys) * 1e6


def _write(connection: Any, owners: list[str]) -> tuple[float, list[float]]:
    """CPU microseconds of a transaction of two rows, and how many seconds each one took."""
    took, began = [], time.thread_time()
    for number in range(WRITES):
        owner, started = owners[number % 100], time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        row = (new_id().hex, owner, f"{number:0>120}")
        connection.execute("INSERT INTO notes VALUES (?, ?, ?)", row)
        connection.execute("INSERT INTO audit VALUES (?, ?, 'notes')", (new_id().hex, owner))
        connection.execute("COMMIT")
        took.append(time.perf_counter() - started)
    return (time.thread_time() - began) / WRITES * 1e6, took
