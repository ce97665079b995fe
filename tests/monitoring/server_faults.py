"""Faults of servers and of those who ask them, made for real."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from tests.monitoring.fault_steps import (
    again,
    direct,
    going_on,
    locked,
    locked_at_times,
    many,
    numbers,
    one_more,
    search,
)
from tests.monitoring.stand import Stand
from tests.monitoring.stand_files import SERVER_1
from tests.services.smtp import RecordingMailHandler


@asynccontextmanager
async def errors(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """A table is locked for longer than queries may take."""
    async with locked(stand, "items"), going_on(*many(3, lambda: search(stand))):
        yield


@asynccontextmanager
async def slow(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Queries wait for more than a second."""
    held = locked_at_times(stand, "items", 2)
    async with going_on(held, *many(5, lambda: search(stand))):
        yield


@asynccontextmanager
async def pile(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """More requests come in than go out."""
    async with locked(stand, "items"), going_on(*many(80, lambda: search(stand))):
        yield


@asynccontextmanager
async def blocked(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """Handlers sleep without giving way."""
    async with going_on(*many(8, lambda: direct("block?seconds=0.6"), 0.01)):
        yield


@asynccontextmanager
async def hanging(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """One handler holds up its process for a minute; the others of the server answer."""
    asked = asyncio.ensure_future(direct("block?seconds=60"))
    yield
    with suppress(httpx.HTTPError, ValueError):
        await asked


@asynccontextmanager
async def restarts(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """Processes of a server are killed, as for lack of memory."""

    async def kill() -> None:
        with suppress(ProcessLookupError, ValueError):
            os.kill(await direct("block?seconds=0"), signal.SIGKILL)

    async with going_on(again(kill, 15)):
        yield


@asynccontextmanager
async def files(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """Clients open connections and stay, and the process may open 200 files."""
    open_now: list[asyncio.StreamWriter] = []

    async def stay() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", SERVER_1)
        writer.write(b"GET /faults/files?most=200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].split()[0])
        if int(await reader.readexactly(length)) > 175:  # its last ones are for those who scrape
            writer.close()
        else:
            open_now.append(writer)

    try:
        async with going_on(again(stay, 0.02)):
            yield
    finally:
        for writer in open_now:
            writer.close()
        # whichever process answers
        await asyncio.gather(*(direct("files?most=4096") for each in range(10)))


@asynccontextmanager
async def memory(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """A handler keeps 1.2 GB; the process is ended then, and replaced."""
    pid = await direct("keep?mib=1200")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def other_version(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """A server of another version runs beside."""
    async with one_more("0.0.9"):
        yield


@asynccontextmanager
async def guesses(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Somebody guesses passwords of many accounts."""

    async def guess() -> None:
        await stand.sign_in(f"somebody{next(numbers)}@example.com", "a wrong guess")

    async with going_on(*many(3, guess)):
        yield


@asynccontextmanager
async def failing_logins(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The table of sessions is locked."""
    async with (
        locked(stand, "sessions"),
        going_on(*many(4, lambda: stand.sign_in("admin@example.com"))),
    ):
        yield


@asynccontextmanager
async def greedy(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """One client asks as fast as it can."""
    async with going_on(*many(15, lambda: stand.ask("GET", "/system/ping", None), 0)):
        yield


@asynccontextmanager
async def no_audit(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The user of the database may no longer write the audit trail."""
    await stand.sql("REVOKE INSERT ON activity FROM backstay")
    try:

        async def refused() -> None:
            await stand.sign_in("admin@example.com", "a wrong guess")

        async with going_on(again(refused, 3)):
            yield
    finally:
        await stand.sql("GRANT INSERT ON activity TO backstay")
