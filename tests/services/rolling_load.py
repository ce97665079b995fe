"""Clients that use an application without a pause, and tell of everything that is lost.

Lost is a request that got no answer, a part of one, or another status than it should. A connection
that was closed before a client wanted to use it again is none.
"""

import asyncio
import base64
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from backstay.testing.waiting import LIMIT
from tests.cli.load import Caller
from tests.services.deployed_nginx import DOMAIN, Nginx
from tests.services.rolling_app import LINES

PAUSE = 0.03
"""Seconds between two requests of one client."""
READERS, SLOW, DOWNLOADS = 8, 3, 2
"""How many clients there are of each kind."""


@dataclass
class Load:
    """The clients and what they have seen; they go on until ``done``."""

    nginx: Nginx
    token: str
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answered: "Counter[str]" = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    titles: set[str] = field(default_factory=set)
    jobs: set[int] = field(default_factory=set)
    sockets: "Counter[str]" = field(default_factory=Counter)
    connections: int = 0
    reused_too_late: int = 0
    """Reads that met the end of a connection and were answered on another one: counted as lost."""

    async def run(self) -> None:
        """Run all clients."""
        clients = [self._read_and_write(number) for number in range(READERS)]
        clients += [self._slow(number) for number in range(SLOW)]
        clients += [self._repeat(self._download) for _ in range(DOWNLOADS)]
        await asyncio.gather(*clients, self._enqueue(), self._repeat(self._strangers), self._echo())

    async def _repeat(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self.done.is_set():
            await act()
            await asyncio.sleep(PAUSE)

    def _caller(self) -> Caller:
        return Caller(self.nginx.tls, self.token, DOMAIN, self.nginx.trust)

    async def _send(
        self, caller: Caller, kind: str, request: tuple[str, str, object], status: int
    ) -> bool:
        try:
            got, body = await caller(*request)
        except (EOFError, OSError, TimeoutError) as error:
            self.lost.append(f"{kind}: {error!r}")
            await caller.close()
            return False
        if got != status:
            self.lost.append(f"{kind}: {got} {body[:300]!r}")
            return False
        self.answered[kind] += 1
        return True

    def _leave(self, caller: Caller) -> None:
        self.connections += caller.connections
        self.reused_too_late += caller.repeated

    async def _read_and_write(self, number: int) -> None:
        caller, sent = self._caller(), 0
        while not self.done.is_set():
            sent += 1
            if sent % 4:
                await self._send(caller, "read", ("GET", "/api/v1/items?per_page=5", None), 200)
            else:
                title = f"{number}-{sent}"
                if await self._send(
                    caller, "write", ("POST", "/api/v1/items", {"title": title}), 201
                ):
                    self.titles.add(title)
            await asyncio.sleep(PAUSE * (1 + sent % 50))  # up to seconds idle
        self._leave(caller)

    async def _slow(self, number: int) -> None:
        caller, sent = self._caller(), 0
        while not self.done.is_set():
            sent += 1
            title = f"slow-{number}-{sent}"
            if await self._send(
                caller, "slow write", ("POST", f"/rolling/slow/{title}", None), 204
            ):
                self.titles.add(title)
        self._leave(caller)

    async def _enqueue(self) -> None:
        caller, number = self._caller(), 0
        while not self.done.is_set():
            number += 1
            if await self._send(caller, "job", ("POST", f"/rolling/jobs/{number}", None), 204):
                self.jobs.add(number)
            await asyncio.sleep(0.3)
        self._leave(caller)

    async def _strangers(self) -> None:
        """Each request comes on a connection of its own."""
        caller = self._caller()
        await self._send(caller, "new connection", ("GET", "/api/v1/items?per_page=1", None), 200)
        await caller.close()
        self._leave(caller)

    async def _open(
        self, path: str, *lines: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.nginx.tls, ssl=self.nginx.trust, server_hostname=DOMAIN
        )
        head = (f"GET {path} HTTP/1.1", f"Host: {DOMAIN}", f"Authorization: Bearer {self.token}")
        writer.write("\r\n".join((*head, *lines, "", "")).encode())
        return reader, writer

    async def _download(self) -> None:
        reader, writer = await self._open("/rolling/download", "Connection: close")
        try:
            text = await asyncio.wait_for(reader.read(), LIMIT)
        except (OSError, TimeoutError) as error:
            self.lost.append(f"download: {error!r}")
            return
        finally:
            writer.close()
        is_whole = text.count(b"line ") == LINES and text.endswith(b"0\r\n\r\n")
        if b" 200 " in text[:20] and is_whole:
            self.answered["download"] += 1
        else:
            self.lost.append(f"download: {text[:300]!r}… {text[-100:]!r}")

    async def _echo(self) -> None:
        """A WebSocket ends with its server; the client connects anew, which must succeed."""
        while not self.done.is_set():
            key = base64.b64encode(os.urandom(16)).decode()
            asked = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
            reader, writer = await self._open("/rolling/echo", *asked, f"Sec-WebSocket-Key: {key}")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
            if b" 101 " not in head:
                self.lost.append(f"WebSocket: {head[:300]!r}")
            self.sockets["opened"] += 1
            try:
                while not self.done.is_set():
                    self.sockets["sent"] += 1
                    await self._say(reader, writer)
                    self.sockets["echoed"] += 1
                    await asyncio.sleep(0.1)
            except (EOFError, OSError):
                self.sockets["ended by the server"] += 1
            writer.close()

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send a short text in one frame (RFC 6455, masked with zeros), and read the same."""
        writer.write(b"\x81\x85\0\0\0\0hello")
        kind, length = await asyncio.wait_for(reader.readexactly(2), LIMIT)
        body = await reader.readexactly(length & 0x7F)
        if kind & 0xF == 8:  # close
            raise EOFError
        assert body == b"hello"
