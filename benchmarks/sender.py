"""Sends requests over many connections: in a closed loop, one after another, or at a rate.

In a closed loop a slow server slows its own load down. Clients of the world do not wait for one
another: in an open loop requests leave at a rate, and are timed from the moment they were due.
"""

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks import machine
from benchmarks.stage import Server

PATIENCE = 2.0
"""Seconds after which a client gives up: it closes its connection, and its answer is lost."""
RETRY_SECONDS = 1.0
"""Seconds after which a client of a closed loop tries again when it was refused."""
OPEN_CONNECTIONS = 5000
"""The connections of an open loop."""
STARTS = 2500
REFUSED = ("503", "429")
ANSWER_BYTES = 500
"""About as many has an answer with its head."""
_END = b"\r\n\r\n"


def bytes_of(method: str, path: str, body: str = "", **fields: str) -> bytes:
    """A request as it is sent."""
    fields = {"Host": "bench", "User-Agent": "wrk", **fields}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())])
    return head.encode() + _END + body.encode()


@dataclass
class Crowd:
    """What clients got: seconds of each success in time, and how many of what else.

    ``cpu`` are the seconds of processor time that the server used meanwhile, ``behind`` those that
    a request of an open loop left too late at most.
    """

    seconds: float
    cpu: float = 0.0
    behind: float = 0.0
    good: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.good) + self.others.total()

    @property
    def refused(self) -> int:
        """How many answers were 503 or 429."""
        return sum(self.others[each] for each in REFUSED)

    def percentile(self, share: float) -> float:
        """Milliseconds that so many percent of the successes took at most."""
        times = sorted(self.good) or [0.0]
        return times[min(len(times) - 1, int(len(times) * share / 100))] * 1e3


class Clients:
    """Clients at one address, ``127.0.0.source``, that send one request over and over."""

    def __init__(self, server: Server, request: bytes, source: int = 1) -> None:
        self._server, self._request, self._source = server, request, source
        host, _, port = server.base.removeprefix("http://").rpartition(":")
        self._address = host, int(port)
        self._links: set[_Connection] = set()

    async def closed(self, connections: int, seconds: float) -> Crowd:
        """Each connection sends its next request once it has the answer of the one before.

        They begin one after another, ``STARTS`` per second: all at once would measure the sender.
        """
        found = Crowd(seconds)
        free = [await self._connect() for _ in range(connections)]

        async def client(number: int, link: _Connection) -> None:
            await asyncio.sleep(number / STARTS)
            while perf_counter() < end:
                link = await self._ask(found, link, perf_counter())
                if link.status in REFUSED:
                    await asyncio.sleep(RETRY_SECONDS)

        before, end = self._cpu(), perf_counter() + seconds
        await asyncio.gather(*(client(*each) for each in enumerate(free)))
        return self._ended(found, self._cpu() - before)

    async def open(self, rate: float, seconds: float) -> Crowd:
        """Requests leave at a rate per second, whatever became of those before.

        Those for which no connection is free are lost: so many wait by then that none of them is
        answered in time.
        """
        found, sent = Crowd(seconds), 0
        free = [await self._connect() for _ in range(OPEN_CONNECTIONS)]

        def note(link: _Connection, due: float, answered: "asyncio.Future[str]") -> None:
            waited, status = perf_counter() - due, answered.result()
            if waited > PATIENCE:
                status = "late"
            if status == "200":
                found.good.append(waited)
            else:
                found.others[status] += 1
            if link.is_open:
                free.append(link)

        before, began = self._cpu(), perf_counter()
        while (now := perf_counter() - began) < seconds:
            found.behind = max(found.behind, now - sent / rate)
            for number in range(sent, int(now * rate)):
                if free:
                    link, due = free.pop(), began + number / rate
                    link.start(self._request).add_done_callback(partial(note, link, due))
                else:
                    found.others["late"] += 1
            sent = int(now * rate)
            await asyncio.sleep(0.001)
        ended = self._cpu() - before
        await asyncio.sleep(PATIENCE)
        found.others["late"] += sent - found.asked
        return self._ended(found, ended)

    async def dribble(self) -> None:
        """Write and read a byte at a time, until cancelled."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(*self._address, limit=1)
                try:
                    for each in self._request:
                        writer.write(bytes((each,)))
                        await asyncio.sleep(0.01)
                    for _ in range(ANSWER_BYTES):
                        await reader.readexactly(1)
                        await asyncio.sleep(0.01)
                finally:
                    writer.transport.abort()

    async def _connect(self) -> "_Connection":
        loop, one = asyncio.get_running_loop(), socket.socket()
        try:
            one.setblocking(False)
            one.bind((f"127.0.0.{self._source}", 0))
            await loop.sock_connect(one, self._address)
        except BaseException:
            one.close()
            raise
        _, link = await loop.create_connection(_Connection, sock=one)
        self._links.add(link)
        return link

    async def _ask(self, found: Crowd, link: "_Connection | None", due: float) -> "_Connection":
        """Send the request, over a new connection if there is none; note what came."""
        status = "late"
        try:
            async with asyncio.timeout(max(0.0, due + PATIENCE - perf_counter())):
                if link is None or not link.is_open:
                    link = await self._connect()
                status = await link.ask(self._request)
        except TimeoutError:
            if link is not None:
                link.close()
        except OSError:
            status = "broken"
        if status == "200":
            found.good.append(perf_counter() - due)
        else:
            found.others[status] += 1
        return link or _Connection()

    def _cpu(self) -> float:
        return machine.cpu_seconds(self._server.pids)

    def _ended(self, found: Crowd, cpu: float) -> Crowd:
        found.cpu = cpu
        for link in self._links:
            link.close()
        self._links.clear()
        return found


class _Connection(asyncio.Protocol):
    """Sends one request at a time."""

    def __init__(self) -> None:
        self.is_open, self.status = False, ""
        self._answered: asyncio.Future[str] | None = None
        self._transport: Any = None
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END)
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length or 0):
            self._received = b""
            self._answer(head[9:12].decode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._answer("broken")

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes) -> str:
        """The status of the answer, or that the connection broke."""
        self.status = ""
        self.status = await self.start(request)
        return self.status

    def start(self, request: bytes) -> "asyncio.Future[str]":
        """Send a request, without waiting for the answer."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def _answer(self, status: str) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(status)
