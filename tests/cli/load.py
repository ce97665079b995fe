"""HTTP clients that keep their connection, and handle a broken one as browsers and proxies do."""

import asyncio
import contextlib
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

from backstay.testing import ADMIN_EMAIL, PASSWORD
from backstay.testing.waiting import LIMIT


@dataclass
class Caller:
    """One client with one connection, renewed when the server has announced its end.

    A GET that got not a byte of an answer is sent once more (RFC 9110, 9.2.2): a server that ends
    may close a connection in the instant in which the request is under way.
    """

    port: int
    token: str = ""
    host: str = "test"
    tls: ssl.SSLContext | None = None
    connections: int = field(default=0, init=False)
    repeated: int = field(default=0, init=False)
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False)

    async def __call__(self, method: str, path: str, document: Any = None) -> tuple[int, bytes]:
        """The status and body of the answer.

        Raises:
            EOFError, ConnectionError: there was none, or a part of one.
        """
        try:
            return await asyncio.wait_for(self._call(method, path, document), LIMIT)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            await self.close()
            has_begun = isinstance(error, asyncio.IncompleteReadError) and error.partial
            if method != "GET" or has_begun:
                raise
            self.repeated += 1
            return await asyncio.wait_for(self._call(method, path, document), LIMIT)

    async def _call(self, method: str, path: str, document: Any) -> tuple[int, bytes]:
        if self._reader is None or self._reader.at_eof():
            await self.close()
            name = self.host if self.tls else None
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.tls, server_hostname=name
            )
            self.connections += 1
        assert self._writer is not None
        body = b"" if document is None else json.dumps(document).encode()
        lines = (
            f"{method} {path} HTTP/1.1",
            f"Host: {self.host}",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        self._writer.write("\r\n".join((*lines, "\r\n")).encode() + body)
        return await self._answer(self._reader)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            await self.close()
        return int(head[0].split()[1]), body

    async def close(self) -> None:
        """Close the connection; afterwards nothing of it is left, its socket included."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):  # the server may have broken it off
                await writer.wait_closed()


async def token(port: int) -> str:
    """The access token of the administrator."""
    caller = Caller(port)
    document = {"email": ADMIN_EMAIL, "password": PASSWORD}
    status, body = await caller("POST", "/api/v1/auth/login", document)
    await caller.close()
    assert status == 200, body
    found: str = json.loads(body)["access_token"]
    return found
