"""The deployed nginx passes requests on, and answers by itself as the API would."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from backstay.web.request import client_address
from tests.services.deployed_nginx import CLIENT, DOMAIN, Nginx, deployed

pytestmark = pytest.mark.anyio


@dataclass
class Upstream:
    """Stands for a server: it keeps what it received and answers by path."""

    port: int
    heads: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        path = head.split()[1]
        if path == "/silence":
            await self.go_on.wait()
        elif path == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst\n")
            await writer.drain()
            await self.go_on.wait()
            writer.write(b"second\n")
        elif "upgrade: websocket" in head.lower():
            writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n")
            writer.write(b"Connection: upgrade\r\n\r\n")
            writer.write(await reader.readexactly(5))
        else:
            if length := re.search(r"content-length: (\d+)", head, re.IGNORECASE):
                await reader.readexactly(1)
                self.has_begun.set()
                await reader.readexactly(int(length[1]) - 1)
            body = b"no such item" if path == "/missing" else b"ok"
            status = b"404 Not Found" if path == "/missing" else b"200 OK"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream(free_port())
    server = await asyncio.start_server(found.answer, "127.0.0.1", found.port)
    try:
        yield found
    finally:
        found.go_on.set()
        server.close()


@dataclass
class Both:
    nginx: Nginx
    upstream: Upstream
    client: httpx.AsyncClient


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    """nginx before a server that answers and one that is gone."""
    async with upstream() as server:
        with deployed(tmp_path, server.port, free_port()) as found:
            async with found.client() as client:
                yield Both(found, server, client)


def ask(both: Both, path: str, **options: Any) -> Any:
    return both.client.get(path, extensions={"sni_hostname": DOMAIN}, **options)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.json()["status"] == answer.status_code
    assert answer.json()["type"] == f"urn:backstay:problem:{answer.json()['code']}"
    return answer.status_code, answer.json()["code"]


async def test_the_application_learns_who_asks_and_nothing_made_up(both: Both) -> None:
    made_up = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Request-ID": '"x'}
    made_up |= {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
    assert (await ask(both, "/a?token=secret", headers=made_up)).text == "ok"
    lines = dict(line.split(": ", 1) for line in both.upstream.heads[-1].splitlines()[1:] if line)
    forwarded = lines["X-Forwarded-For"].encode()
    scope = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", forwarded)]}
    assert client_address(scope, [ip_network("127.0.0.1/32")]) == (
        CLIENT if CLIENT != "127.0.0.1" else "6.6.6.6"
    )
    assert (lines["X-Forwarded-Proto"], lines["X-Forwarded-Host"]) == ("https", DOMAIN)
    assert lines["Host"] == DOMAIN
    assert re.fullmatch("[0-9a-f]{32}", lines["X-Request-ID"])
    assert not {"Forwarded", "Connection"} & lines.keys()
    await ask(both, "/b", headers={"X-Request-ID": "my-id"})
    assert "X-Request-ID: my-id" in both.upstream.heads[-1]
    log = both.nginx.folder / "access.log"
    until(lambda: log.read_text().count("\n") == 2)
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(each["path"], each["status"]) for each in logged] == [("/a", "200"), ("/b", "200")]


async def test_its_own_answers_are_problems_those_of_servers_pass(both: Both) -> None:
    assert (await ask(both, "/missing")).text == "no such item"
    for path in ("/metrics", "/%6detrics", "//metrics", "/metrics?x", "/a/../metrics"):
        answer = await both.client.get(
            httpx.URL(both.client.base_url, raw_path=path.encode()),
            extensions={"sni_hostname": DOMAIN},
        )
        assert problem(answer) == (404, "not_found"), path
    large = await both.client.post("/a", content=b"x" * 1001, extensions={"sni_hostname": DOMAIN})
    assert problem(large) == (413, "too_large")
    assert len(both.upstream.heads) == 1
    assert problem(await ask(both, "/silence")) == (504, "gateway_timeout")


async def test_without_a_server_the_answer_says_so(tmp_path: Path) -> None:
    with deployed(tmp_path, free_port(), free_port()) as found:
        async with found.client() as client:
            answer = await client.get("/", extensions={"sni_hostname": DOMAIN})
    assert problem(answer) == (502, "bad_gateway")
    assert answer.headers["retry-after"] == "1"


async def test_what_is_streamed_arrives_line_by_line(both: Both) -> None:
    options: Any = {"extensions": {"sni_hostname": DOMAIN}}
    async with both.client.stream("GET", "/stream", **options) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "first"
        both.upstream.go_on.set()
        assert await anext(lines) == "second"


async def test_an_upload_is_passed_on_while_it_arrives(both: Both) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 2000
        await asyncio.wait_for(both.upstream.has_begun.wait(), LIMIT)
        yield b"x" * 8000

    sent = await both.client.post(
        "/api/v1/photos/7",
        content=body(),
        headers={"Content-Length": "10000"},
        extensions={"sni_hostname": DOMAIN},
    )
    assert sent.text == "ok"


async def test_a_websocket_gets_through(both: Both) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", both.nginx.tls, ssl=both.nginx.trust, server_hostname=DOMAIN
    )
    writer.write(f"GET /ws HTTP/1.1\r\nHost: {DOMAIN}\r\n".encode())
    writer.write(b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
    assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    assert await asyncio.wait_for(reader.readexactly(5), LIMIT) == b"hello"
    writer.close()


async def test_other_names_get_nothing_and_plain_http_leads_to_tls(both: Both) -> None:
    with pytest.raises(httpx.ConnectError):
        await both.client.get("/", extensions={"sni_hostname": "other.example.com"})
    proof = both.nginx.folder / "acme/.well-known/acme-challenge/proof"
    proof.parent.mkdir(parents=True)
    proof.write_text("it is me")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{both.nginx.plain}") as client:
        assert (await client.get("/.well-known/acme-challenge/proof")).text == "it is me"
        moved = await client.get("/a?b=c", headers={"Host": "evil.example"})
    assert moved.status_code == 308
    assert moved.headers["location"] == f"https://{DOMAIN}/a?b=c"
