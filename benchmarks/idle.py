"""What a server keeps in memory, and what it costs while nobody asks it for anything."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from backstay.testing.postgres_server import PostgresServer
from benchmarks import machine
from benchmarks.start import PRODUCTION
from tests.cli.process import run, serving
from tests.server.idle import proportional_bytes, wakeups
from tests.services.valkey import ValkeyServer

SETTLED, SECONDS = 5, 60
ROLES = ("supervisor", "parent", "tracker", "worker")
"""The tracker is started by Python's multiprocessing beside what it spawns; gunicorn has none."""


class Idle(NamedTuple):
    """Processor time in percent of one processor, how often somebody was woken, MiB by role."""

    cpu: float
    wakeups: float
    memory: dict[str, float]


def measure() -> dict[str, Idle]:
    """Each kind of server with one worker, one after another."""
    with PostgresServer() as postgres, ValkeyServer() as valkey:
        kinds = {
            "granian, SQLite": {},
            "granian, PostgreSQL": {"DATABASE_URL": postgres.create_database()},
            "granian, PostgreSQL, Redis": {
                "DATABASE_URL": postgres.create_database(),
                "REDIS_URL": valkey.url,
            },
        } | {
            f"{kind}, PostgreSQL": {
                "DATABASE_URL": postgres.create_database(),
                "SERVER_TYPE": kind,
            }
            for kind in ("uvicorn", "gunicorn")
        }
        return {name: _measured(PRODUCTION | variables) for name, variables in kinds.items()}


def show(found: dict[str, Idle]) -> None:
    """Print a row per server."""
    title = f"{SECONDS} s without a request, one worker\nMiB: PSS of {', '.join(ROLES)}; all"
    table = Table(title=title)
    for heading in ("", "CPU %", "wakeups/s", "MiB", "all"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, idle in found.items():
        memory = " ".join(f"{idle.memory[role]:.0f}" for role in ROLES if role in idle.memory)
        together = f"{sum(idle.memory.values()):.0f}"
        table.add_row(name, f"{idle.cpu:.2f}", f"{idle.wakeups:.1f}", memory, together)
    Console().print(table)


def _measured(variables: dict[str, str]) -> Idle:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared = run(folder, "db", "upgrade", **variables)
        assert prepared.code == 0, prepared.errors
        server = stack.enter_context(serving(folder, **variables))
        time.sleep(SETTLED)
        pids = machine.family(server.process.pid)
        since, used, woken = time.monotonic(), machine.cpu_seconds(pids), wakeups(*pids)
        time.sleep(SECONDS)
        used, woken = machine.cpu_seconds(pids) - used, wakeups(*pids) - woken
        seconds = time.monotonic() - since
        memory = {_role(pids, pid): proportional_bytes(pid) / 2**20 for pid in pids}
        return Idle(100 * used / seconds, woken / seconds, memory)


def _role(pids: list[int], pid: int) -> str:
    if b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return "tracker"
    return ROLES[pids.index(pid)] if pid in pids[:2] else "worker"
