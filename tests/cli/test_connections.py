"""Shows what a real server puts up with on a connection, whichever of the three it is."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.cli.process import PATIENCE, Server, serving

IDLE_CONNECTIONS = 1_250
START = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(kind: str, tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, SERVER_TYPE=kind, SERVER_TIMEOUT="60") as running:
        yield running


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE)


def _answer(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while more := connection.recv(65_536):
        received += more
    return received


def test_too_many_fields_are_refused(server: Server) -> None:
    with _connect(server) as connection:
        connection.sendall(START + b"X-More: 1\r\n" * 100 + b"\r\n")
        assert _answer(connection).startswith(b"HTTP/1.1 431 ")
    assert httpx.get(f"{server.client.base_url}/livez").status_code == 200


def test_idle_connections_keep_nobody_out(server: Server) -> None:
    with ExitStack() as idle:
        for _ in range(IDLE_CONNECTIONS):
            idle.enter_context(_connect(server))
        assert httpx.get(f"{server.client.base_url}/livez", timeout=5).status_code == 200


def test_a_silent_connection_is_closed(kind: str, tmp_path: Path) -> None:
    with (
        serving(tmp_path, SERVER_TYPE=kind, SERVER_TIMEOUT="1") as server,
        _connect(server) as silent,
    ):
        assert _answer(silent) == b""


def test_head_leaves_one_line_in_the_log(server: Server) -> None:
    def told() -> list[str]:
        return [line for line in server.printed.splitlines() if "HEAD" in line or "Error" in line]

    assert server.client.head("/livez").status_code == 200
    assert server.client.get("/livez").status_code == 200
    deadline = time.monotonic() + PATIENCE
    while "HEAD" not in server.printed and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(told()) == 1
    assert "Traceback" not in server.printed
