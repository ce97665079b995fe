"""What many clients at once get: by connections, beside others, and at twice what can be served."""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from types import ModuleType

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
from benchmarks.sender import PATIENCE, Crowd, bytes_of, dribble
from benchmarks.stage import Server, Stage, prepare, serving

CONNECTIONS = (1, 16, 64, 512, 5000)
BUSY, FEW = 64, 16
SECONDS, OVERLOAD_SECONDS = 3, 8
OPEN_FILES = 20_000
SLOW_SECONDS = 1.0
SERVE = ("--factory", "--backlog", "4096", "--backpressure", "65536")
"""As `backstay serve` starts granian."""
Rows = dict[str, list[Crowd]]
Beside = Callable[[str], AbstractAsyncContextManager[None]]
"""What else a server has to do, by its address."""


class Slept(View):
    """The answer of a slow query."""

    seconds: float


class Sleep(Query[Slept]):
    """A query for which the database needs ``SLOW_SECONDS``."""

    permission = PUBLIC


@handles(Sleep)
async def sleep(query: Sleep, reader: Reader) -> Slept:
    """Occupy a connection."""
    await reader.execute(text(f"SELECT pg_sleep({SLOW_SECONDS})"))
    return Slept(seconds=SLOW_SECONDS)


routes = Routes("/slow", tag="bench")
routes.get("", Sleep)


def app() -> FastAPI:
    """The application, and a slow query."""
    modules: tuple[ModuleType, ...] = (sys.modules[__name__],)
    return create_app(features=[*STANDARD, Feature("bench", modules=modules, routes=(routes,))])


def measure(rounds: int) -> Rows:
    """Every figure of every round."""
    known = os.sched_getaffinity(0)
    with ExitStack() as held:
        machine.pin(machine.OTHER_CORE)
        held.callback(os.sched_setaffinity, 0, known)
        held.enter_context(_many_files())
        postgres = held.enter_context(PostgresServer())
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        stage = prepare(postgres.create_database(), folder, rows=1000)

        def start(wait: str) -> Server:
            variables = {"CACHE_TTL_SECONDS": "0", "SERVER_MAX_WAIT": wait}
            return held.enter_context(
                serving("benchmarks.crowd:app", stage, *SERVE, **variables)
            )

        return uvloop.run(_measure(rounds, stage, start("0"), start("1")))


async def _measure(rounds: int, stage: Stage, without: Server, control: Server) -> Rows:
    found: Rows = {}
    item = bytes_of(_request("item", stage))
    servers = {"": without, ", control": control}

    async def note(name: str, run: Awaitable[Crowd]) -> Crowd:
        crowd = await run
        found.setdefault(name, []).append(crowd)
        return crowd

    for server in servers.values():
        await Crowd.closed(server.base, item, connections=FEW, seconds=SECONDS)
    for _ in range(rounds):
        for count in CONNECTIONS:
            for named, server in servers.items():
                run = Crowd.closed(server.base, item, connections=count, seconds=SECONDS)
                await note(f"{count} connections{named}", run)
        for other, beside in _others(stage).items():
            async with beside(control.base):
                run = Crowd.closed(control.base, item, connections=FEW, seconds=SECONDS)
                await note(f"{FEW} beside {other}", run)
        peak = found[f"{BUSY} connections"][-1].goodput
        for named, server in servers.items():
            run = Crowd.open(server.base, item, rate=2 * peak, seconds=OVERLOAD_SECONDS)
            await note(f"twice the peak{named}", run)
            await asyncio.sleep(2 * PATIENCE)
            async with _flood(server.base, 2 * peak):
                run = Crowd.closed(server.base, item, connections=4, seconds=SECONDS)
                await note(f"4 beside a flood of another address{named}", run)
            await asyncio.sleep(2 * PATIENCE)
    return found


def show(found: Rows, rounds: int) -> None:
    """Print a row per measurement, and what of the peak is left at twice its load."""
    peak = max(median(c.goodput for c in found[f"{n} connections"]) for n in CONNECTIONS)
    table = Table(title=f"median of {rounds} rounds; good: 200 within {PATIENCE:g} s")
    for heading in ("", "p50 ms", "p99 ms", "p99.9 ms", "good/s", "of peak", "refused/s", "lost/s"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, crowds in found.items():
        times = (f"{median(c.percentile(p) for c in crowds):.1f}" for p in (50, 99, 99.9))
        good = median(c.goodput for c in crowds)
        rest = (median(c.refused for c in crowds), median(c.lost for c in crowds))
        table.add_row(name, *times, f"{good:.0f}", f"{good / peak:.0%}", *map("{:.0f}".format, rest))
    console = Console()
    console.print(table)
    console.print("times are of what succeeded; lost: failed, or not there in time")


def _request(name: str, stage: Stage) -> tuple[str, str, str, dict[str, str]]:
    case = next(each for each in CASES if each.name == name)
    request = case.ours(stage)
    return request.method, request.url, request.body, request.headers


def _others(stage: Stage) -> dict[str, Beside]:
    slow = bytes_of(("GET", f"{API}/slow", "", {}))
    login = bytes_of(_request("login", stage))
    ping = bytes_of(("GET", f"{API}/system/ping", "", {}))

    @asynccontextmanager
    async def running(*tasks: Awaitable[object]) -> AsyncIterator[None]:
        started = [asyncio.ensure_future(each) for each in tasks]
        await asyncio.sleep(0.5)
        yield
        for each in started:
            each.cancel()
        await asyncio.gather(*started, return_exceptions=True)

    def crowd(request: bytes, count: int) -> Beside:
        return lambda base: running(
            Crowd.closed(base, request, connections=count, seconds=SECONDS + 2, source=2)
        )

    return {
        "nobody": lambda base: running(),
        "200 clients of a byte at a time": lambda base: running(
            *(dribble(base, ping) for _ in range(200))
        ),
        "50 slow queries": crowd(slow, 50),
        "8 sign-ins": crowd(login, 8),
    }


@asynccontextmanager
async def _flood(base: str, rate: float) -> AsyncIterator[None]:
    """Requests without a token from one address."""
    request = bytes_of(("GET", f"{API}/items", "", {}))
    seconds = SECONDS + 1
    flood = asyncio.ensure_future(
        Crowd.open(base, request, rate=3 * rate, seconds=seconds, source=3)
    )
    await asyncio.sleep(1)
    yield
    await flood


@contextmanager
def _many_files() -> Iterator[None]:
    """Let this process, and servers that it starts, open as many connections as are measured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_FILES:
        raise SystemExit(f"{OPEN_FILES} open files are needed, and {hard} are allowed: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
