"""Two servers behind nginx are restarted one after another, and no client notices."""

import asyncio
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.cli.load import Caller, token
from tests.cli.process import KEYS, Server, free_port, serving
from tests.services.nginx import nginx
from tests.services.postgres import shared_server

PASSWORD = "correct horse"
GUIDE = Path(__file__).parents[2] / "docs/guides/production.md"
CALLERS = 8
FAIL_SECONDS = 2


@pytest.fixture
def url() -> Iterator[str]:
    url = shared_server().create_database()
    yield url
    shared_server().drop_database(url)


class Pair:
    """Two servers, each of which can be replaced by a new one at its port."""

    def __init__(self, folder: Path, url: str, kind: str) -> None:
        self.ports = (free_port(), free_port())
        self._folder = folder
        self._variables = {
            **KEYS,
            "DATABASE_URL": url,
            "ADMIN_PASSWORD": PASSWORD,
            "RATE_LIMIT_ENABLED": "false",
            "SERVER_TYPE": kind,
            "SERVER_DRAIN_SECONDS": "3",
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

    def stop(self, port: int) -> None:
        stack, server = self._stacks.pop(port)
        with stack:
            assert server.stop(signal.SIGTERM) == 0

    def close(self) -> None:
        for stack, server in self._stacks.values():
            with stack:
                for _ in range(2):  # the second signal does not wait for what the first drains
                    server.process.terminate()
                    time.sleep(0.2)


@contextmanager
def pair(folder: Path, url: str, kind: str) -> Iterator[Pair]:
    servers = Pair(folder, url, kind)
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
    text = found[1].replace("listen 80;", f"listen 127.0.0.1:{port};")
    for name, upstream in zip(("10.0.0.11:8000", "10.0.0.12:8000"), upstreams, strict=True):
        assert name in text
        text = text.replace(name, f"127.0.0.1:{upstream}")
    return text


def _restart_all(servers: Pair, done: threading.Event) -> None:
    try:
        for port in servers.ports:
            time.sleep(FAIL_SECONDS + 0.5)
            servers.stop(port)
            servers.start(port)
        time.sleep(1)
    finally:
        done.set()


async def _load(port: int, servers: Pair) -> tuple[int, int, int]:
    """Read and create until both were restarted; how many of each, and of creations refused."""
    bearer, done = await token(port, PASSWORD), threading.Event()
    restart = asyncio.create_task(asyncio.to_thread(_restart_all, servers, done))

    async def call(number: int) -> tuple[int, int, int]:
        caller, reads, writes, refused = Caller(port, bearer), 0, 0, 0
        while not done.is_set():
            if (reads + writes + refused + number) % 5:
                status, body = await caller("GET", "/api/v1/items")
                assert status == 200, body
                reads += 1
            else:
                title = {"title": f"{number}-{writes + refused}"}
                status, body = await caller("POST", "/api/v1/items", title)
                assert status in {201, 502}, body
                writes, refused = writes + (status == 201), refused + (status == 502)
        await caller.close()
        assert caller.repeated == 0
        return reads, writes, refused

    counts = await asyncio.gather(*(call(number) for number in range(CALLERS)))
    await restart
    reads, writes, refused = map(sum, zip(*counts, strict=True))
    return reads, writes, refused


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
    with pair(tmp_path, url, kind) as servers:
        configuration = documented(port, servers.ports)
        with nginx(tmp_path, port, configuration):
            reads, writes, refused = asyncio.run(_load(port, servers))
    assert reads > 200
    assert writes > 50
    assert refused == 0
    stored, distinct = asyncio.run(_count_items(url))
    assert stored == distinct == writes
