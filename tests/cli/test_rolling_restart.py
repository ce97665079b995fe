"""Two servers behind nginx are stopped one after another, and no client notices."""

import asyncio
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from backstay.testing import Templates
from backstay.testing.ports import free_port
from backstay.testing.waiting import until
from tests.cli.load import Caller, token
from tests.cli.process import KEYS, NEVER, Server, serving
from tests.services.nginx import nginx

GUIDE = Path(__file__).parents[2] / "docs/guides/production.md"
ADDRESSES = ("10.0.0.11:8000", "10.0.0.12:8000")
DRAIN_SECONDS = "3"
CALLERS = 8
READS, WRITES = 200, 50
PAUSE, HURRIED = 0.1, 0.02
"""Seconds between requests of one caller while no server stops, and while one does."""


@pytest.fixture
def url(templates: Templates, tmp_path: Path) -> Iterator[str]:
    url, remove = templates.copy("postgresql", tmp_path)
    yield url
    remove()


class TwoServers:
    """Two servers, each of which can be replaced by a new one at its port."""

    def __init__(self, folder: Path, url: str, kind: str) -> None:
        self.ports = (free_port(), free_port())
        self._folder = folder
        self._variables = {
            **KEYS,
            "DATABASE_URL": url,
            "DB_POOL_TIMEOUT": NEVER,
            "DB_FALLBACK_TO_SQLITE": "true",
            "RATE_LIMIT_ENABLED": "false",
            "SERVER_TYPE": kind,
            "SERVER_DRAIN_SECONDS": DRAIN_SECONDS,
            "SERVER_LOG": "false",
        }
        self._stacks: dict[int, tuple[ExitStack, Server]] = {}

    def start(self, port: int) -> None:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        stack = ExitStack()
        variables = {**self._variables, "SERVER_PORT": str(port)}
        server = stack.enter_context(serving(folder, **variables))
        self._stacks[port] = stack, server
        assert "PostgreSQL, test_" in server.printed

    def stop(self, port: int) -> None:
        stack, server = self._stacks.pop(port)
        with stack:
            assert server.stop(signal.SIGTERM) == 0

    def close(self) -> None:
        for port in list(self._stacks):
            self.stop(port)

    def serves(self, port: int) -> bool:
        """Whether the server at a port has received a request for items."""
        metrics = self._stacks[port][1].client.get("/metrics").text
        return re.search(r"requests_total{.*/v1/items.*} [1-9]", metrics) is not None


@contextmanager
def two_servers(folder: Path, url: str, kind: str) -> Iterator[TwoServers]:
    servers = TwoServers(folder, url, kind)
    try:
        for port in servers.ports:
            servers.start(port)
        yield servers
    finally:
        servers.close()


def documented(port: int, upstreams: tuple[int, ...]) -> str:
    """The configuration of the guide, for other addresses."""
    found = re.search(r"```nginx\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found
    others = {"listen 80;": f"listen 127.0.0.1:{port};"}
    others |= {a: f"127.0.0.1:{port}" for a, port in zip(ADDRESSES, upstreams, strict=True)}
    text = found[1]
    for name, value in others.items():
        assert name in text
        text = text.replace(name, value)
    return text


@dataclass
class Load:
    """Requests that clients send all the time; more often while a server stops."""

    port: int
    reads: int = 0
    writes: int = 0
    hurry: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    async def call(self, bearer: str, number: int) -> None:
        """One client; every request of it must be answered."""
        caller, sent = Caller(self.port, bearer), 0
        while not self.done.is_set():
            sent += 1
            if (sent + number) % 5:
                status, body = await caller("GET", "/api/v1/items")
                assert status == 200, body
                self.reads += 1
            else:
                title = {"title": f"{number}-{sent}"}
                status, body = await caller("POST", "/api/v1/items", title)
                assert status == 201, body
                self.writes += 1
            await asyncio.sleep(HURRIED if self.hurry.is_set() else PAUSE)
        await caller.close()
        assert caller.repeated == 0


def _stop_one_after_another(servers: TwoServers, load: Load) -> None:
    one, other = servers.ports
    try:
        until(lambda: servers.serves(one) and servers.serves(other))
        load.hurry.set()
        servers.stop(one)
        load.hurry.clear()
        servers.start(one)
        until(lambda: servers.serves(one))
        load.hurry.set()
        servers.stop(other)
        load.hurry.clear()
        until(lambda: load.reads > READS and load.writes > WRITES)
    finally:
        load.done.set()


async def _restart_under_load(servers: TwoServers, load: Load) -> None:
    bearer = await token(load.port)
    stopping = asyncio.create_task(asyncio.to_thread(_stop_one_after_another, servers, load))
    try:
        await asyncio.gather(*(load.call(bearer, number) for number in range(CALLERS)))
    finally:
        await stopping


async def _count_items(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT count(*), count(DISTINCT title) FROM items")
        assert row is not None
        return row[0], row[1]
    finally:
        await connection.close()


@pytest.mark.parametrize("kind", ["granian", "uvicorn", "gunicorn"])
def test_a_rolling_restart_behind_nginx_loses_no_request(
    kind: str, url: str, tmp_path: Path
) -> None:
    port = free_port()
    load = Load(port)
    with (
        two_servers(tmp_path, url, kind) as servers,
        nginx(tmp_path, port, documented(port, servers.ports)),
    ):
        asyncio.run(_restart_under_load(servers, load))
    stored, distinct = asyncio.run(_count_items(url))
    assert stored == distinct == load.writes
    assert not list(tmp_path.rglob("*.db"))
