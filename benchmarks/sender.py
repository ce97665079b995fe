"""Sends requests over many connections: closed loop, one after another, or open loop, at a rate.

A closed loop waits for each answer, so that a slow server slows its own load down; clients of the
world do not wait for one another. An open loop measures from the moment at which a request was due.
"""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

PATIENCE = 2.0
"""Seconds after which a client gives up: it closes its connection, and its answer is lost."""
_END = b"\r\n\r\n"


def bytes_of(request: tuple[str, str, str, dict[str, str]]) -> bytes:
    """A request (method, path, body, header fields) as it is sent."""
    method, path, body, fields = request
    fields = {"Host": "bench", "User-Agent": "wrk", **fields}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())])
    return head.encode() + _END + body.encode()


class _Connection(asyncio.Protocol):
    """Sends one request at a time; ``answered`` is the status, or 0 if the connection broke."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[int] | None = None
        self.is_open = False
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END)
        if not end:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length or 0):
            self._received = b""
            self._answer(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._answer(0)

    def _answer(self, status: int) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(status)

    async def ask(self, request: bytes) -> int:
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answered


@dataclass
class Crowd:
    """What a crowd of clients got: seconds of each success in time, and the number of the rest."""

    seconds: float
    good: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def goodput(self) -> float:
        """Successes within ``PATIENCE`` per second."""
        return len(self.good) / self.seconds

    @property
    def refused(self) -> float:
        """Answers with 503 or 429 per second."""
        return (self.others["503"] + self.others["429"]) / self.seconds

    @property
    def lost(self) -> float:
        """What else was no success, per second."""
        return self.others.total() / self.seconds - self.refused

    def percentile(self, share: float) -> float:
        """Milliseconds that so many percent of the successes took at most."""
        ordered = sorted(self.good)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] * 1e3 if ordered else 0

    @classmethod
    async def closed(
        cls, base: str, request: bytes, *, connections: int, seconds: float, source: int = 1
    ) -> "Crowd":
        """Each connection sends its next request once it has the answer of the one before."""
        found, links = cls(seconds), await _connected(base, connections, source)
        end = perf_counter() + seconds

        async def client(link: _Connection) -> None:
            while perf_counter() < end:
                link = await found._ask(base, source, link, request, perf_counter())

        await asyncio.gather(*map(client, links))
        return found

    @classmethod
    async def open(
        cls, base: str, request: bytes, *, rate: float, seconds: float, source: int = 1
    ) -> "Crowd":
        """Requests leave at a rate per second, whatever became of those before."""
        found, free, sent = cls(seconds), deque(await _connected(base, 64, source)), 0
        running: set[asyncio.Task[None]] = set()
        began = perf_counter()

        async def client(due: float) -> None:
            link = await found._ask(base, source, free.pop() if free else None, request, due)
            if link.is_open:
                free.append(link)

        while (now := perf_counter() - began) < seconds:
            for number in range(sent, int(now * rate)):
                task = asyncio.ensure_future(client(began + number / rate))
                running.add(task)
                task.add_done_callback(running.discard)
            sent = max(sent, int(now * rate))
            await asyncio.sleep(0.001)
        await asyncio.gather(*running)
        for link in free:
            link.transport.abort()
        return found

    async def _ask(
        self, base: str, source: int, link: "_Connection | None", request: bytes, due: float
    ) -> _Connection:
        """Send a request, on a new connection if there is none or it broke; note what came."""
        status = "late"
        try:
            async with asyncio.timeout(max(0.0, due + PATIENCE - perf_counter())):
                if link is None or not link.is_open:
                    link = (await _connected(base, 1, source))[0]
                status = str(await link.ask(request))
        except (TimeoutError, OSError):
            pass
        if status == "200":
            self.good.append(perf_counter() - due)
        else:
            self.others[status] += 1
        if link is None:
            return _Connection()
        if status == "late":
            link.transport.abort()
            link.is_open = False
        return link


async def _connected(base: str, count: int, source: int) -> list[_Connection]:
    """Connections from the address ``127.0.0.source``."""
    host, _, port = base.removeprefix("http://").rpartition(":")
    loop, made = asyncio.get_running_loop(), []
    for number in range(count):
        address = (f"127.0.0.{source}", 0)
        made.append((await loop.create_connection(_Connection, host, int(port), local_addr=address))[1])
        if number % 64 == 0:
            await asyncio.sleep(0)
    return made


async def dribble(base: str, request: bytes) -> None:
    """A client that writes and reads a byte at a time, until it is cancelled."""
    host, _, port = base.removeprefix("http://").rpartition(":")
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port), limit=1)
            try:
                for each in request:
                    writer.write(bytes((each,)))
                    await asyncio.sleep(0.01)
                while await reader.read(1):
                    await asyncio.sleep(0.01)
            finally:
                writer.transport.abort()
