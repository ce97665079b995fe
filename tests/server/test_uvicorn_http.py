"""Shows the limits on the head of a request before uvicorn has seen its end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.server import ServerState

from backstay.server import uvicorn_http
from backstay.server.uvicorn_http import HEAD_BYTES, HEAD_FIELDS, Http
from backstay.testing.waiting import LIMIT

pytestmark = pytest.mark.anyio

LINE = b"GET / HTTP/1.1\r\n"
END = b"\r\n"
LAST = b"Connection: close\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """A connection to a server that answers every request."""
    config = Config(PlainTextResponse("here"), lifespan="off", log_config=None)
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(lambda: Http(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    server.close()


async def answer(connection: Connection, *parts: bytes) -> bytes:
    """Send these bytes; the status line of the last answer before the server closes."""
    reader, writer = connection
    for part in parts:
        writer.write(part)
        await writer.drain()
    received = await asyncio.wait_for(reader.read(), LIMIT)
    return received[received.rfind(b"HTTP/1.1 ") :].partition(b"\r\n")[0]


REFUSED = b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize(("fields", "status"), [(HEAD_FIELDS, b"200 OK"), (HEAD_FIELDS + 1, None)])
async def test_a_head_may_have_a_limited_number_of_fields(
    connection: Connection, fields: int, status: bytes | None
) -> None:
    head = LINE + b"X: 1\r\n" * (fields - 1) + LAST
    assert await answer(connection, head) == (b"HTTP/1.1 " + status if status else REFUSED)


async def test_a_large_head_of_few_fields_is_refused(connection: Connection) -> None:
    half = b"x" * (HEAD_BYTES // 2)
    assert await answer(connection, LINE + b"A: " + half + b"\r\nB: " + half + END) == REFUSED


async def test_a_field_without_an_end_is_refused(connection: Connection) -> None:
    start = LINE + b"X: "
    assert await answer(connection, start.ljust(HEAD_BYTES + 1, b"x")) == REFUSED


async def test_a_target_without_an_end_is_refused(connection: Connection) -> None:
    assert await answer(connection, b"GET /".ljust(HEAD_BYTES + 1, b"x")) == REFUSED


async def test_a_trailer_without_an_end_is_refused(connection: Connection) -> None:
    connection[1].write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ")
    await connection[0].readuntil(b"here")
    assert await answer(connection, b"x" * (HEAD_BYTES + 1)) == REFUSED


async def test_each_request_is_counted_separately(connection: Connection) -> None:
    large = b"X: " + b"x" * (HEAD_BYTES - 100) + END
    for _ in range(3):
        connection[1].write(LINE + large + END)
        await connection[0].readuntil(b"here")
    assert await answer(connection, LINE + large + LAST) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("before", [b"", LINE + END])
async def test_a_head_that_does_not_end_is_closed(
    connection: Connection, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_http, "HEAD_SECONDS", 0.2)
    reader, writer = connection
    if before:
        writer.write(before)
        await reader.readuntil(b"here")
    writer.write(LINE + b"X: ")

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        assert await asyncio.wait_for(reader.read(), LIMIT) == b""
    except ConnectionResetError:
        pass
    finally:
        dripping.cancel()
