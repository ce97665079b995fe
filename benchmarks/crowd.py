"""What many clients at once get: by connections, beside others, and at twice what can be served."""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from subprocess import DEVNULL
from typing import Any

import uvloop
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from backstay.application import create_app
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Query, View
from backstay.core.permissions import PUBLIC
from backstay.db.session import Reader
from backstay.features import STANDARD
from backstay.testing.postgres_server import PostgresServer
from backstay.web.routes import Routes
from benchmarks import machine
from benchmarks.cases import API, CASES
from benchmarks.sender import PATIENCE, Clients, Crowd, bytes_of
from benchmarks.stage import Server, Stage, prepare, serving

CONNECTIONS = (1, 16, 64, 512, 5000)
BUSY, FEW, VICTIMS, FLOOD = 64, 16, 4, 2000
SECONDS, OVERLOAD_SECONDS, REST = 2, 6, 2 * PATIENCE
OPEN_FILES = 20_000
SLOW_SECONDS, DATABASE_SECONDS, ROWS = 1.0, 0.001, 400
SERVE = ("--factory", "--backlog", "4096", "--backpressure", "65536")
"""As `backstay serve` starts granian."""
WITHOUT, WITH = "without", "with control"
Key = tuple[str, str]
"""What was sent, and to which server."""
Found = dict[Key, list[Crowd]]
Beside = Callable[[], AbstractAsyncContextManager[None]]
"""What else a server has to do meanwhile."""


class Slept(View):
    """The answer of a slow query."""

    seconds: float


class Sleep(Query[Slept]):
    """A query for which the database needs ``SLOW_SECONDS``."""

    permission = PUBLIC


@handles(Sleep)
async def sleep(query: Sleep, reader: Reader) -> Slept:
    """Occupy a connection."""
    await reader.scalar(text(f"SELECT pg_sleep({SLOW_SECONDS})"))
    return Slept(seconds=SLOW_SECONDS)


class Row(View):
    """A row that is made, not read."""

    id: int
    title: str


class Rows(View):
    """What only the worker has to work for."""

    items: list[Row]


class MakeRows(Query[Rows]):
    """A query for which a database has always time: one on this machine the sender slows down."""

    permission = PUBLIC


@handles(MakeRows)
async def make_rows(query: MakeRows) -> Rows:
    """Wait as for two answers of a database, then work for about a millisecond."""
    for _ in range(2):
        await asyncio.sleep(DATABASE_SECONDS)
    return Rows(items=[Row(id=number, title=f"row {number}") for number in range(ROWS)])


routes = Routes("", tag="bench")
routes.get("/slow", Sleep)
routes.get("/rows", MakeRows)


def app() -> FastAPI:
    """The application, and a slow query."""
    slow = Feature("bench", modules=(sys.modules[__name__],), routes=(routes,))
    return create_app(features=[*STANDARD, slow])


def measure(rounds: int) -> Found:
    """Every measurement of every round."""
    known = os.sched_getaffinity(0)
    with ExitStack() as held:
        machine.pin(machine.OTHER_CORE)
        held.callback(os.sched_setaffinity, 0, known)
        held.enter_context(_many_files())
        postgres = held.enter_context(PostgresServer())
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        stage = prepare(postgres.create_database(), folder, rows=1000)

        def start(wait: str) -> Server:
            serve = serving(
                "benchmarks.crowd:app",
                stage.environ,
                *SERVE,
                CACHE_TTL_SECONDS="0",
                LOG_LEVEL="CRITICAL",
                SERVER_MAX_WAIT=wait,
            )
            return held.enter_context(serve)

        servers = {WITHOUT: start("0"), WITH: start("1")}
        return uvloop.run(_Run(stage, servers).run(rounds))


class _Run:
    """One run; all measurements of a round follow one another."""

    def __init__(self, stage: Stage, servers: dict[str, Server]) -> None:
        self._stage, self._servers = stage, servers
        self._item = _request("item", stage)
        self._found: Found = {}

    async def run(self, rounds: int) -> Found:
        for server in self._servers.values():
            await Clients(server, self._item).closed(FEW, SECONDS)
        for _ in range(rounds):
            for count in CONNECTIONS:
                for kind, server in self._servers.items():
                    clients = Clients(server, self._item)
                    seconds = max(SECONDS, count / 1000)
                    await self._note(f"{count} at once", kind, clients.closed(count, seconds))
            for kind, server in self._servers.items():
                await self._beside(kind, server)
                await self._overload(kind, server)
        return self._found

    async def _note(self, what: str, kind: str, measured: Coroutine[Any, Any, Crowd]) -> Crowd:
        crowd = await measured
        self._found.setdefault((what, kind), []).append(crowd)
        return crowd

    async def _beside(self, kind: str, server: Server) -> None:
        for what, beside in _others(self._stage, server).items():
            async with beside():
                clients = Clients(server, self._item)
                await self._note(f"{FEW}, {what}", kind, clients.closed(FEW, SECONDS))
            await asyncio.sleep(1)

    async def _overload(self, kind: str, server: Server) -> None:
        """Twice the rate that was served just before, then a flood without a token beside a few."""
        clients = Clients(server, bytes_of("GET", f"{API}/rows"))
        before = await self._note("peak", kind, clients.closed(BUSY, SECONDS))
        rate = 2 * len(before.good) / SECONDS
        await self._note("twice the peak", kind, clients.open(rate, OVERLOAD_SECONDS))
        await asyncio.sleep(REST)
        url = f"{server.base}{API}/items"
        flood = ("wrk", "-t1", f"-c{FLOOD}", f"-d{SECONDS + 1}s", "--timeout", "30s", url)
        flooding = await asyncio.create_subprocess_exec(*flood, stdout=DEVNULL)
        await asyncio.sleep(0.5)
        victims = Clients(server, self._item, source=4)
        await self._note(f"{VICTIMS}, a flood", kind, victims.closed(VICTIMS, SECONDS))
        await flooding.wait()
        await asyncio.sleep(REST)


def show(found: Found, rounds: int) -> None:
    """Print a row per measurement, and what of the peak is left at twice its load."""
    table = Table(title=f"median of {rounds} rounds; good: 200 within {PATIENCE:g} s")
    for heading in ("clients", "server", "p50", "p99", "p99.9", "good", "refused", "lost", "µs"):
        table.add_column(heading, justify="left" if heading in {"clients", "server"} else "right")
    for (what, kind), crowds in found.items():
        times = (f"{median(c.percentile(p) for c in crowds):.0f}" for p in (50, 99, 99.9))
        counts = [
            (len(c.good), c.refused, c.asked - len(c.good) - c.refused, c.seconds) for c in crowds
        ]
        rates = (f"{median(each[n] / each[3] for each in counts):.0f}" for n in range(3))
        table.add_row(what, kind, *times, *rates, f"{_cost(crowds) * 1e6:.0f}")
    console = Console(width=100)
    console.print(table)
    console.print("times in ms, of the good; counts per second; µs: CPU of the server per good")
    behind = max(each.behind for crowds in found.values() for each in crowds)
    console.print(f"the sender was at most {behind:.1f} s late: with more, it is what was measured")
    for kind in (WITHOUT, WITH):
        peak, twice = found["peak", kind], found["twice the peak", kind]
        share = _cost(peak) / _cost(twice)
        load = median(c.asked * _cost([p]) / c.cpu for c, p in zip(twice, peak, strict=True))
        console.print(
            f"{kind}: at {load:.1f} times the peak a second of processor time gives {share:.0%} of "
            "the good answers that it gives at the peak"
        )


def _cost(crowds: list[Crowd]) -> float:
    """Seconds of the server's processor time per good answer, median of the rounds."""
    return median(crowd.cpu / max(1, len(crowd.good)) for crowd in crowds)


def _request(name: str, stage: Stage) -> bytes:
    request, *_ = next(each for each in CASES if each.name == name).ours(stage)
    return bytes_of(request.method, request.url, request.body, **request.headers)


def _others(stage: Stage, server: Server) -> dict[str, Beside]:
    slow = Clients(server, bytes_of("GET", f"{API}/slow"), source=2)
    logins = Clients(server, _request("login", stage), source=2)
    byte = Clients(server, bytes_of("GET", f"{API}/system/ping"))
    seconds = SECONDS + 1

    @asynccontextmanager
    async def running(*parts: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(each) for each in parts]
        await asyncio.sleep(0.5)
        yield
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return {
        "nobody": running,
        "200 byte by byte": lambda: running(*(byte.dribble() for _ in range(200))),
        "50 slow queries": lambda: running(slow.closed(50, seconds)),
        "8 sign-ins": lambda: running(logins.closed(8, seconds)),
    }


@contextmanager
def _many_files() -> Iterator[None]:
    """Let this process, and servers that it starts, open as many connections as are measured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_FILES:
        raise SystemExit(f"{OPEN_FILES} open files are needed, and {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
