"""What faults are made of: locked tables, many who ask at once, programs that do not run."""

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx

from backstay.testing.waiting import eventually
from tests.monitoring.stand import Stand, scraped
from tests.monitoring.stand_files import EXTRA, FOLDER, SERVER_1
from tests.services.smtp import RecordingMailHandler

Fault = Callable[[Stand, RecordingMailHandler], AbstractAsyncContextManager[None]]
"""Within its block the fault lasts; at the end it is mended."""
numbers = itertools.count()


@asynccontextmanager
async def going_on(*works: Awaitable[None]) -> AsyncIterator[None]:
    """Within the block these go on."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def again(send: Callable[[], Awaitable[Any]], pause: float = 0.05) -> None:
    """Do it again and again."""
    while True:
        with suppress(OSError, httpx.HTTPError, asyncpg.PostgresError):
            await send()
        await asyncio.sleep(pause)


def many(count: int, send: Callable[[], Awaitable[Any]], pause: float = 0.05) -> list[Any]:
    """So many who do it at once."""
    return [again(send, pause) for _ in range(count)]


@asynccontextmanager
async def locked(stand: Stand, table: str) -> AsyncIterator[None]:
    """Within the block another session holds the table, as a careless migration does."""
    connection = await stand.database()
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def locked_at_times(stand: Stand, table: str, seconds: float, free: float = 0.2) -> None:
    """Hold the table for so many seconds, let it go for some, and so on."""
    while True:
        async with locked(stand, table):
            await asyncio.sleep(seconds)
        await asyncio.sleep(free)


def stopped(*programs: str) -> Fault:
    """A fault: these programs do not run."""

    @asynccontextmanager
    async def fault(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
        await asyncio.to_thread(stand.ctl, "stop", *programs)
        try:
            yield
        finally:
            await asyncio.to_thread(stand.ctl, "start", *programs)

    return fault


async def search(stand: Stand) -> None:
    """A query whose answer is in no cache."""
    await stand.ask("GET", "/items", params={"q": f"none {next(numbers)}"})


async def create(stand: Stand) -> None:
    """A command that writes."""
    await stand.ask("POST", "/items", json={"title": "One of many"})


async def start_task(stand: Stand) -> None:
    """A job."""
    task = {"task": "demo.count", "payload": {"steps": 1, "seconds": 0}}
    await stand.ask("POST", "/tasks", json=task)


async def direct(path: str, port: int = SERVER_1) -> int:
    """The answer of a faulty route, by a connection of its own."""
    async with httpx.AsyncClient(timeout=120) as client:
        return int((await client.get(f"http://127.0.0.1:{port}/faults/{path}")).text)


def _start_one_more(version: str) -> "subprocess.Popen[bytes]":
    folder = FOLDER / "extra/state"
    folder.mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.environ["PATH"], "ENVIRONMENT": "local", "APP_VERSION": version}
    own |= {"SERVER_PORT": str(EXTRA), "ADMIN_PASSWORD": "of the other server"}
    own |= {"BACKSTAY_APP": "tests.monitoring.faulty:application", "RATE_LIMIT_ENABLED": "false"}
    with (FOLDER / "extra/log").open("ab") as log:
        return subprocess.Popen(
            [FOLDER / "bin/backstay", "serve"], cwd=folder, env=own, stdout=log, stderr=log
        )


@asynccontextmanager
async def one_more(version: str) -> AsyncIterator[None]:
    """One more server, on SQLite."""

    async def lives() -> bool:
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{EXTRA}/livez")).is_success
        return False

    process = _start_one_more(version)
    try:
        await eventually(lives)
        with scraped(EXTRA):
            yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
