"""What each step of a request costs at the edge: CPU time without sockets, beside bare ``me``."""

import asyncio
import functools
import importlib
import inspect
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from backstay.application import PACKAGED
from backstay.settings import load_settings
from backstay.testing.postgres_server import PostgresServer
from backstay.web.dispatch import Route, route_of
from benchmarks.cases import CASES
from benchmarks.load import Request
from benchmarks.stage import Stage, prepare

BATCH = 100
SHOWN = ("me", "item", "cached", "page", "create")
POINTS = {
    "FastAPI and Starlette": (
        "backstay.web.served:Served.__call__",
        "starlette.middleware.exceptions:ExceptionMiddleware.__call__",
    ),
    "ids, address": (
        "backstay.web.middleware:identify",
        "backstay.web.middleware:client_address",
    ),
    "edge and faults": (
        "backstay.web.middleware:_Edge.__call__",
        "backstay.web.middleware:_Faults.__call__",
    ),
    "checks of the head": ("backstay.web.middleware:_Faults._check",),
    "route": ("backstay.web.route_index:RowCaller.__call__",),
    "authentication": ("backstay.web.state:Authenticator.__call__",),
    "limits": ("backstay.web.limits:Limits.by_user",),
    "parameters": ("backstay.web.parameters:Parameters.read",),
    "pipeline": ("backstay.core.bus:Bus.send",),
    "rendering": (
        "backstay.core.representation:Representation.of",
        "backstay.db.list_statements:ListStatements.rendered",
    ),
    "message to response": ("backstay.web.answers:_tagged", "backstay.web.answers:sender_of"),
    "headers, sending": ("starlette.responses:Response.__call__",),
    "metrics and log": (
        "backstay.observability.metrics:PrometheusMetrics.observe",
        "backstay.web.middleware:log_request",
    ),
}
"""By step: the functions whose time it is, without that of others named here."""
CALL, DISPATCH, HANDLER = "ASGI call", "dispatch", "handler, database"
OF_PIPELINE = {"transaction": "transaction", "answer": "cache of answers"}
"""The steps of the pipeline that have a row of their own."""
PLAIN = "without clocks"
Costs = dict[str, dict[str, float]]
"""By case, and by step in it: CPU microseconds of a request."""


class Recorder:
    """Adds up CPU time by step: of a function without the functions inside it that are wrapped.

    The thread's own clock leaves out what other processes take from it, and waiting. What reading
    it costs is measured beforehand and left out: ``within`` a step, and ``around`` it, in ns.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.within = self.around = 0.0
        self._inner: list[float] = [0.0]

    def wrap(self, step: str, call: Any) -> Any:
        """The same function, whose time is added up."""
        clock, inner, spent = time.thread_time_ns, self._inner, self.spent

        def note(began: int) -> None:
            took = clock() - began
            spent[step] += took - inner.pop() - self.within
            inner[-1] += took + self.around

        @functools.wraps(call)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = clock()
            try:
                return await call(*args, **kwargs)
            finally:
                note(began)

        @functools.wraps(call)
        def calling(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = clock()
            try:
                return call(*args, **kwargs)
            finally:
                note(began)

        return awaiting if _is_async(call) else calling

    async def calibrate(self, rounds: int = 50, calls: int = 200) -> None:
        """Measure what an empty function costs that is wrapped, and one that is not."""

        async def empty(*_: object) -> None:
            pass

        async def many(call: Callable[..., Awaitable[None]]) -> None:
            for _ in range(calls):
                await call(self, self, self)

        inside = self.wrap("inside", empty)
        outer, plain = self.wrap("outer", many), self.wrap("plain", many)
        found: list[tuple[float, float]] = []
        for _ in range(rounds):
            self.spent.clear()
            await plain(empty)
            await outer(inside)
            alone = self.spent["plain"] / calls
            within = self.spent["inside"] / calls
            found.append((within, self.spent["outer"] / calls - alone))
        self.within = median(within for within, _ in found)
        self.around = median(around for _, around in found)
        self.spent.clear()


def _is_async(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
        getattr(call, "__call__", None)  # noqa: B004 - an object whose call is async
    )


def points() -> Iterator[tuple[str, Any, str]]:
    """Each step with the object and the attribute of its functions; `AttributeError` if unknown."""
    for step, names in POINTS.items():
        for name in names:
            module, _, path = name.partition(":")
            owner: Any = importlib.import_module(module)
            *parents, last = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            getattr(owner, last)
            yield step, owner, last


def _in_bus(recorder: Recorder, name: str, call: Any) -> Any:
    """Stands for the bus's own wrapper of every handler and step."""
    is_handler = call.__qualname__.startswith(("_calling", "_awaiting"))
    return recorder.wrap(HANDLER if is_handler else OF_PIPELINE.get(name, "pipeline"), call)


@contextmanager
def _clocks(recorder: Recorder) -> Iterator[None]:
    """Every function of `POINTS` with a clock around it."""
    with ExitStack() as held:
        for step, owner, name in points():
            call = inspect.getattr_static(owner, name)
            wrapped: Any = recorder.wrap(step, getattr(call, "__func__", call))
            if isinstance(call, classmethod):
                wrapped = classmethod(wrapped)
            held.enter_context(patch.object(owner, name, wrapped))
        yield


@contextmanager
def _clocks_at_boot(recorder: Recorder) -> Iterator[None]:
    """The same around what an application makes when it boots: pipelines, and its routes."""
    make, route_app = functools.partial(_in_bus, recorder), Route._application

    def timed(*given: Any) -> Any:
        return recorder.wrap(DISPATCH, route_app(*given))

    route_of.cache_clear()
    with (  # functions that routes keep are those of this moment
        _clocks(recorder),
        patch("backstay.core.bus._untraced", make),
        patch.object(Route, "_application", timed),
    ):
        yield
    route_of.cache_clear()


async def _trivial(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _drive(app: Any, request: Request, count: int) -> float:
    """Ask an application over and over; the CPU microseconds of one request."""
    body, statuses = request.body.encode(), set[int]()
    url = urlsplit(request.url)
    given = {"Host": "bench", "User-Agent": "bench", "Content-Type": "application/json"}
    if body:
        given["Content-Length"] = str(len(body))
    headers = [(k.lower().encode(), v.encode()) for k, v in {**given, **request.headers}.items()]
    head = {"type": "http", "method": request.method, "path": url.path, "scheme": "http"}
    whole = {"raw_path": url.path.encode(), "query_string": url.query.encode(), "root_path": ""}
    ends = {"client": ("192.0.2.1", 5), "server": ("bench", 80), "http_version": "1.1", "asgi": {}}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    began = time.thread_time_ns()
    for _ in range(count):
        await app({**head, **whole, **ends, "headers": list(headers)}, receive, send)
    spent = time.thread_time_ns() - began
    if max(statuses) >= 300:
        raise RuntimeError(f"{request.method} {request.url}: {statuses}")
    return spent / count / 1000


async def _measure(stage: Stage, rounds: int) -> tuple[Costs, float]:
    recorder, found = Recorder(), defaultdict[tuple[str, str], list[float]](list)
    await recorder.calibrate()
    bare: Any = importlib.import_module("benchmarks.bare")  # it reads the environment
    cases = [case for case in CASES if case.name in SHOWN]
    async with AsyncExitStack() as held:
        bare.pool = await held.enter_async_context(asyncpg.create_pool(os.environ["DATABASE_URL"]))
        apps: dict[tuple[str, bool], Any] = {}
        for server, seconds in (("uncached", "0"), ("cached", "60")):
            environ = stage.environ | {"CACHE_TTL_SECONDS": seconds}
            settings = load_settings(environ=environ, directory=Path(environ["HOME"]))
            for is_timed in (False, True):
                with _clocks_at_boot(recorder) if is_timed else ExitStack():
                    app = PACKAGED.create_app(settings, worker=False)
                await held.enter_async_context(app.router.lifespan_context(app))
                apps[server, is_timed] = app
        for number in range(rounds + 1):
            if number == 1:  # the first round warms up
                found.clear()
            me = cases[0].bare
            assert me is not None
            found["bare", "me"].append(await _drive(bare.app, me(stage)[0], BATCH))
            for case in cases:
                request, *_ = case.ours(stage)
                found[case.name, CALL].append(await _drive(_trivial, request, BATCH))
                plain = await _drive(apps[case.server, False], request, BATCH)
                found[case.name, PLAIN].append(plain)
                with _clocks(recorder):
                    await _drive(apps[case.server, True], request, BATCH)
                for step in (*POINTS, DISPATCH, HANDLER, *OF_PIPELINE.values()):
                    found[case.name, step].append(recorder.spent[step] / BATCH / 1000)
                recorder.spent.clear()
    costs: Costs = defaultdict(dict)
    for (name, step), each in found.items():
        costs[name][step] = median(each)
    return costs, costs.pop("bare")["me"]


def measure(rounds: int) -> tuple[Costs, float]:
    """What the steps of each case cost, and all of bare ``me``; every case in turn, in rounds."""
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        stage = prepare(postgres.create_database(), Path(folder), rows=200)
        with (
            patch.dict(os.environ, stage.environ),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(_measure(stage, rounds))


def show(costs: Costs, bare: float, rounds: int) -> None:
    """Print a column for each case, and the share of bare ``me`` beside it."""
    title = f"CPU µs of a step (share of bare me), median of {rounds} rounds of {BATCH}"
    table, names = Table(title=title), list(costs)
    table.add_column("step")
    for name in names:
        table.add_column(name, justify="right")
    for step in (CALL, *POINTS, DISPATCH, *OF_PIPELINE.values(), HANDLER):
        told = [costs[name].get(step, 0.0) for name in names]
        table.add_row(step, *(f"{each:.1f} ({each / bare:.2f})" if each else "" for each in told))
    table.add_section()
    sums = [sum(costs[name].values()) - costs[name][PLAIN] for name in names]
    edge = [total - costs[name].get(HANDLER, 0.0) for name, total in zip(names, sums, strict=True)]
    plain = [costs[name][PLAIN] for name in names]
    for label, row in (("sum", sums), ("sum without handler", edge), (PLAIN, plain)):
        table.add_row(label, *(f"{each:.1f} ({each / bare:.2f})" for each in row))
    table.add_row("bare me ÷ this", *(f"{bare / each:.2f}" for each in plain))
    console = Console(width=120)
    console.print(table)
    console.print(
        f"bare me: {bare:.1f} µs. The sum differs from what is measured without clocks by"
    )
    console.print("what the correction for their cost misses.")
