"""Random requests during random faults: ``python -m tests.faults.random_faults [REQUESTS] [KIND]``.

The application runs in this process, so that its requests can be cancelled at any moment and its
pools be looked into; between it and PostgreSQL is a proxy. Afterwards nothing may have leaked, no
acknowledged write be lost, none be there without its row of the audit trail, and no answer have
been that of another request. `TEST_SEED` chooses other requests and faults.
"""

import asyncio
import gc
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI

from backstay.application import create_app
from backstay.composition import Backstay
from backstay.db.options import EngineOptions
from backstay.db.pool import SharedPool
from backstay.testing import FrozenClock, Templates, client_of, settings_with
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT
from tests.faults.ledger import Ledger
from tests.faults.proxy import wire_to
from tests.faults.random_requests import Client, Report, User
from tests.faults.troubles import PostgresTrouble, SqliteTrouble, Trouble, pools
from tests.features.steps import register, sign_in

KINDS, REQUESTS = ("sqlite", "postgresql"), 100_000
USERS, CLIENTS = 5, 20
REQUESTS_PER_FAULT = 15
"""How many requests are sent on average between two faults."""
SETTINGS = {
    "CACHE_TTL_SECONDS": "0",  # every read asks the database
    # for most requests there is a connection, but not during a fault
    "DB_MAX_CONNECTIONS": "24",
    "DB_MIN_CONNECTIONS": "3",
    "DB_POOL_TIMEOUT": "1",
    "DB_READ_TIMEOUT": "1",
    "DB_STATEMENT_TIMEOUT": "1",
}
CLOSED = "Cannot operate on a closed database."


@dataclass
class Run:
    """A running application with its users, and what they have seen."""

    app: FastAPI
    trouble: Trouble
    options: EngineOptions
    """The database without a proxy."""
    seed: int
    report: Report = field(default_factory=Report)
    ledger: Ledger = field(default_factory=Ledger)
    clients: list[Client] = field(default_factory=list)
    sent: int = 0

    @property
    def backstay(self) -> Backstay:
        """What the application is made of."""
        backstay: Backstay = self.app.state.backstay
        return backstay

    async def prepare(self) -> None:
        """Sign the users in."""
        users = []
        async with client_of(self.app) as client:
            for number in range(USERS):
                email = f"user{number}@example.org"
                created = await register(client, email)
                token = (await sign_in(client, email)).json()["access_token"]
                users.append(User(created.json()["id"], email, token))
        self.clients = [
            Client(self.app, users[number % USERS], users, self.ledger, self.report)
            for number in range(CLIENTS)
        ]

    async def send(self, requests: int) -> None:
        """Send so many requests while faults are brought about; then let them end."""
        chance = random.Random(f"{self.seed} faults")
        await asyncio.gather(*(self._work(each, requests, chance) for each in range(CLIENTS)))
        await self.trouble.calm()

    async def _work(self, number: int, requests: int, faults: random.Random) -> None:
        chance = random.Random(f"{self.seed} {number}")
        while self.sent < requests:
            self.sent += 1
            if faults.random() < 1 / REQUESTS_PER_FAULT:
                self.trouble.strike()
            await self.clients[number].act(chance)

    async def settle(self, seconds: float) -> list[str]:
        """Wait until what goes on in the background is over; what has leaked then."""
        deadline = time.monotonic() + seconds
        while found := [*leaks(self.backstay), *await self.trouble.leaks()]:
            if time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.05)
        return []

    async def undisturbed(self) -> None:
        """Every client sends requests that must succeed, because no fault is left."""
        failed = self.report.failed
        for number, client in enumerate(self.clients):
            client.leaves = False
            await client.act(random.Random(f"{self.seed} {number} at last"))
        if self.report.failed > failed:
            self.report.fault(f"requests failed after all faults were over: {self.report.answered}")


def leaks(backstay: Backstay) -> Iterator[str]:
    """What is not as it was before the requests: pools, semaphores, work in the background."""
    database = backstay.database
    gc.collect()
    under_way = (budget.under_way for budget in database.budgets.values())
    if tasks := database._under_way.union(*under_way):
        yield f"under way: {tasks}"
    for pool in pools(backstay):
        yield from _leaks_of(pool)


def _leaks_of(pool: SharedPool) -> Iterator[str]:
    semaphore = pool.semaphore
    if pool.checkedout() or pool.open != len(pool.idle):
        yield f"{pool.name}: {pool.status()}"
    if semaphore.waiting or semaphore._free._value != pool.size():
        yield f"{pool.name}: {semaphore._free._value} of {pool.size()} places are free"
    if held := [share for share in semaphore._shares.values() if share._value != semaphore._each]:
        yield f"{pool.name}: {len(held)} clients hold places"
    if len({id(each.record.dbapi_connection) for each in pool.idle}) != len(pool.idle):
        yield f"{pool.name}: a connection is in it twice"


@contextmanager
def complaints(report: Report) -> Iterator[None]:
    """Note what is told to nobody: errors of lost tasks, connections that were collected."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            report.fault(f"{record.name}: {record.getMessage()}")

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # SQLAlchemy closes at once, besides gracefully, if the graceful way is cancelled
        if not isinstance(error, ConnectionError) and CLOSED not in str(error):
            where = traceback.format_exception(error)[-3:] if error else ""
            report.fault(f"event loop: {context['message']}: {error!r} {where}")

    loop, handler = asyncio.get_running_loop(), Handler(logging.ERROR)
    before = loop.get_exception_handler()
    logger = logging.getLogger("sqlalchemy.pool")
    loop.set_exception_handler(note)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        loop.set_exception_handler(before)


@asynccontextmanager
async def running(url: str, folder: Path, seed: int) -> AsyncIterator[Run]:
    """The application on a database of its own."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        through, wire = url, None
        if not url.startswith("sqlite"):
            wire, through = await stack.enter_async_context(wire_to(url))
        settings = settings_with(through, folder, **SETTINGS)
        app = create_app(settings, clock=FrozenClock(), worker=False)
        backstay: Backstay = app.state.backstay
        trouble: Trouble
        if wire is None:
            trouble = SqliteTrouble(backstay, chance, folder / "test.db")
        else:
            observer = await stack.enter_async_context(asyncpg.create_pool(url, min_size=1))
            trouble = PostgresTrouble(backstay, chance, wire, observer)
        await stack.enter_async_context(app.router.lifespan_context(app))
        run = Run(app, trouble, EngineOptions(settings_with(url, folder).db.sqlalchemy_url), seed)
        await run.prepare()
        yield run


async def trial(
    url: str,
    folder: Path,
    requests: int,
    seed: int,
    *,
    seconds: float = LIMIT,
    broken: AbstractContextManager[None] = nullcontext(),  # noqa: B008
) -> Report:
    """Send so many requests during faults, on the database of a URL.

    They are sent in the context ``broken``; ``seconds`` is how long the end of what goes on in the
    background is waited for.
    """
    async with running(url, folder, seed) as run:
        report = run.report
        with complaints(report):
            with broken:
                await run.send(requests)
            for leak in await run.settle(seconds):
                report.fault(f"leaked: {leak}")
            if not report.faults:
                await run.undisturbed()
                for leak in await run.settle(seconds):
                    report.fault(f"leaked after all faults: {leak}")
            for fault in await run.ledger.faults(run.options):
                report.fault(fault)
        report.struck = run.trouble.struck
    return report


def main(requests: int, kinds: list[str]) -> int:
    """Run it on each kind of database; 1 if there was a fault."""
    seed, failed = int(os.environ.get("TEST_SEED", "1")), 0
    SETTINGS["LOG_LEVEL"] = "CRITICAL"  # here, since loggers keep the first level of their process
    with PostgresServer() as server, tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            folder = Path(name) / kind
            folder.mkdir()
            url, _ = Templates(folder, lambda: server).copy(kind, folder)
            begun = time.process_time(), time.monotonic()
            report = asyncio.run(trial(url, folder, requests, seed))
            cpu, seconds = time.process_time() - begun[0], time.monotonic() - begun[1]
            print(f"{kind}: {requests} requests in {seconds:.0f} s, of CPU {cpu:.0f} s", flush=True)
            print(f"  answered {dict(report.answered.most_common())}, left {report.left}")
            print(f"  faults brought about {dict(report.struck.most_common())}")
            for each in report.faults or ["nothing is lost, mixed up or leaked"]:
                print(f"  {each}", flush=True)
            failed |= bool(report.faults)
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else REQUESTS, sys.argv[2:] or [*KINDS]))
