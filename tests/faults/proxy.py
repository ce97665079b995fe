"""A TCP proxy between the application and a server, which can be cut, mended and slowed down."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit


class Wire:
    """A TCP proxy to a server. Its port stays the same when it is cut and mended."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = (host, port), tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._stalled: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self.port = 0
        self.url = ""
        """The address of the server through this wire."""
        self.held = 0
        """How many connections and pieces of data have been held up so far."""
        self._left: int | None = None
        self.delay = 0.0
        """Seconds by which everything that goes either way arrives later."""

    async def hint(self) -> None:
        """Accept connections, and let data through."""
        self.unjam()
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, "127.0.0.1", self.port, ssl=self._tls
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection and refuse new ones, like a server that was stopped."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        self.unjam()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Cut it for a while."""
        await self.cut()
        try:
            yield
        finally:
            await self.hint()

    def reset_one(self, chance: random.Random) -> None:
        """End a random connection."""
        if self._writers:
            chance.choice(list(self._writers)).transport.abort()

    async def stall_one(self, chance: random.Random, seconds: float) -> None:
        """Hold up, for so long, what goes one way on a random connection."""
        if self._writers:
            writer = chance.choice(list(self._writers))
            mended = self._stalled.setdefault(writer, asyncio.Event())
            try:
                await asyncio.sleep(seconds)
            finally:
                self._stalled.pop(writer, None)
                mended.set()

    def jam(self) -> None:
        """Forward nothing any more, like a machine that lost its power."""
        self._open.clear()

    def unjam(self) -> None:
        """Forward everything that was held up."""
        self._left = None
        self._open.set()

    def jam_after(self, pieces: int) -> None:
        """Forward this many pieces of data, then nothing any more."""
        self._left = pieces
        if not pieces:
            self.jam()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._pass()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        for pump in (self._pump(reader, far_writer), self._pump(far_reader, writer)):
            task = asyncio.ensure_future(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read data as it arrives, so that a delay adds latency and does not limit throughput."""
        passing: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(self._deliver(passing, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                passing.put_nowait((monotonic() + self.delay, data))
        passing.put_nowait((0.0, b""))
        await delivering

    async def _deliver(
        self, passing: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while (due := await passing.get())[1]:
                await asyncio.sleep(due[0] - monotonic())
                await self._turn()
                if writer in self._stalled:
                    await self._stalled[writer].wait()
                writer.write(due[1])
                await writer.drain()
        writer.close()
        self._writers.discard(writer)

    async def _pass(self) -> None:
        if not self._open.is_set():
            self.held += 1
            await self._open.wait()

    async def _turn(self) -> None:
        await self._pass()
        if self._left is not None:
            self.jam_after(self._left - 1)


@asynccontextmanager
async def wire_to(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Wire, str]]:
    """A proxy to the server of a URL, which may speak TLS, and the URL that leads through it."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "", parts.port or 5432, tls)
    await wire.hint()
    account = f"{parts.username}:{parts.password}"
    wire.url = parts._replace(netloc=f"{account}@127.0.0.1:{wire.port}").geturl()
    try:
        yield wire, wire.url
    finally:
        await wire.cut()
