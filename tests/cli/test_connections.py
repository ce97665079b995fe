"""Shows how each of the three servers handles its connections."""

import asyncio
import signal
import socket
from contextlib import ExitStack

import pytest

from backstay.testing.waiting import LIMIT, until
from tests.cli.conftest import Shared
from tests.cli.load import Caller, token
from tests.cli.process import NEVER, Server, held_login, none_lives

IDLE_CONNECTIONS = 1_250
BUSY_CONNECTIONS = 512
START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(shared: Shared) -> Server:
    return shared(
        SERVER_TIMEOUT=NEVER,
        SERVER_DRAIN_SECONDS="1",
        SERVER_GRACEFUL_TIMEOUT=NEVER,
        RATE_LIMIT_ENABLED="false",
        DB_POOL_TIMEOUT=NEVER,
    )


def _rest(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while more := connection.recv(65_536):
        received += more
    return received


def test_too_many_fields_are_refused(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(START + b"X-More: 1\r\n" * 100 + b"\r\n")
        assert _rest(connection).startswith(b"HTTP/1.1 431 ")
    assert server.ask("/livez") == 200


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", ["localhost"], 200),
        ("1.1", [], 400),
        ("1.1", ["localhost", "localhost"], 400),
        ("1.1", ["localhost", "evil.example"], 400),
        ("1.1", ["local host"], 400),
        ("1.0", [], 200),
        ("1.0", ["localhost", "evil.example"], 400),
    ],
)
def test_a_request_must_name_exactly_one_host(
    server: Server, version: str, hosts: list[str], status: int
) -> None:
    lines = [f"GET /livez HTTP/{version}", *(f"Host: {host}" for host in hosts)]
    with server.connect() as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        assert _rest(connection).split()[1] == str(status).encode()


def test_idle_connections_do_not_block_new_ones(server: Server) -> None:
    with ExitStack() as idle:
        for _ in range(IDLE_CONNECTIONS):
            idle.enter_context(server.connect())
        assert server.ask("/livez") == 200


def test_head_leaves_one_line_in_the_log(server: Server) -> None:
    def told() -> list[str]:
        return [line for line in server.printed.splitlines() if "HEAD" in line or "Error" in line]

    before = len(told())
    assert server.client.head("/api/v1/system/ping").status_code == 200
    assert server.client.get("/").status_code == 200
    until(lambda: "path=/ " in server.printed)
    assert len(told()) - before == 1


async def _use_at_once(port: int) -> None:
    """Open many connections at once and use each in turn; all of them stay open."""
    bearer = await token(port)
    callers = [Caller(port, bearer) for _ in range(BUSY_CONNECTIONS)]
    for path in ("/api/v1/items", "/livez"):
        answers = await asyncio.gather(*(caller("GET", path) for caller in callers))
        assert {status for status, _ in answers} == {200}
    assert all(caller.connections == 1 for caller in callers)
    for caller in callers:
        await caller.close()


def test_many_connections_to_one_worker_are_all_answered(server: Server) -> None:
    asyncio.run(_use_at_once(server.port))


def _takes_connections(server: Server) -> bool:
    try:
        server.connect().close()
    except ConnectionError:
        return False
    return True


def test_a_stopping_server_finishes_requests_but_not_idle_connections(server: Server) -> None:
    def has_left() -> bool:
        running.go_on()
        return not _takes_connections(server)

    family = server.family()
    assert server.client.get("/livez").status_code == 200
    with server.connect() as silent, held_login(server) as running:
        server.process.send_signal(signal.SIGTERM)
        until(has_left)
        assert running.finish().startswith(b"HTTP/1.1 401 ")
        assert server.process.wait(LIMIT) == 0
        assert silent.recv(1) == b""
    assert none_lives(family)
