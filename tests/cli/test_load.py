"""No request is lost, however many connections are open and while workers are replaced."""

import asyncio
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.load import Caller, token
from tests.cli.process import PATIENCE, Server, serving, workers

PASSWORD = "correct horse"
VARIABLES = {
    "ADMIN_PASSWORD": PASSWORD,
    "RATE_LIMIT_ENABLED": "false",
    "SERVER_LOG": "false",
    "SERVER_GRACEFUL_TIMEOUT": "10",
}
MAX_REQUESTS = 300


@pytest.fixture
def server(kind: str, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, **VARIABLES, SERVER_TYPE=kind) as running:
        yield running


async def _hold_open(port: int, count: int) -> None:
    """Open connections at once and use each of them, by turns; all of them stay open."""
    bearer = await token(port, PASSWORD)
    callers = [Caller(port, bearer) for _ in range(count)]
    for path in ("/api/v1/items", "/readyz"):
        answers = await asyncio.gather(*(caller("GET", path) for caller in callers))
        assert {status for status, _ in answers} == {200}
    assert all(caller.connections == 1 for caller in callers)
    for caller in callers:
        await caller.close()


def test_many_connections_to_one_worker_are_all_answered(server: Server) -> None:
    for count in (64, 512):
        asyncio.run(_hold_open(server.port, count))


def test_an_idle_connection_does_not_delay_a_stop(server: Server) -> None:
    with (
        httpx.Client(base_url=server.client.base_url) as used,
        socket.create_connection(("127.0.0.1", server.port), PATIENCE) as silent,
    ):
        assert used.get("/readyz").status_code == 200
        started = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5  # less than the graceful timeout
        assert silent.recv(1) == b""


def _wait_for_replacement(server: Server, before: set[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while before <= workers(server):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(0.5)


async def _call_until_replaced(server: Server) -> int:
    bearer = await token(server.port, PASSWORD)
    replacement = asyncio.create_task(
        asyncio.to_thread(_wait_for_replacement, server, workers(server))
    )

    async def call() -> int:
        caller, answered = Caller(server.port, bearer), 0
        while not replacement.done():
            assert (await caller("GET", "/api/v1/items"))[0] == 200
            answered += 1
            await asyncio.sleep(0.02)
        await caller.close()
        assert caller.repeated <= 1
        return answered

    counts = await asyncio.gather(*(call() for _ in range(4)))
    await replacement
    return sum(counts)


def test_a_worker_is_replaced_after_its_requests_and_none_is_lost(
    kind: str, tmp_path: Path
) -> None:
    limit = {"SERVER_MAX_REQUESTS": str(MAX_REQUESTS)}
    with serving(tmp_path, **VARIABLES, **limit, SERVER_TYPE=kind) as server:
        answered = asyncio.run(_call_until_replaced(server))
        assert answered >= MAX_REQUESTS - 10
        assert server.stop(signal.SIGTERM) == 0
        assert not re.search("error|unexpected", server.printed, re.IGNORECASE)
