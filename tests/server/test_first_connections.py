"""Shows that a client which comes before a server is ready is refused, and never reset."""

import os
import socket
import subprocess
from pathlib import Path

from backstay.core.runtime_dir import FOLDER
from backstay.server.options import Options
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import environ


def outcome(port: int) -> str:
    """What becomes of a request on a new connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(100).decode() or "empty"
    except OSError as error:
        return type(error).__name__


def test_gunicorn_refuses_clients_while_no_worker_can_start(tmp_path: Path) -> None:
    options = Options("gunicorn", "127.0.0.1", free_port(), 1, 1, 60, 30, None, os.getpid())
    process = subprocess.Popen(
        options.command(),
        env=environ(ENVIRONMENT="production", **{FOLDER: str(tmp_path)}),  # the rest is missing
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    outcomes = set()

    def has_ended() -> bool:
        outcomes.add(outcome(options.port))
        return process.poll() is not None

    assert until(has_ended)
    assert process.returncode != 0
    assert outcomes == {"ConnectionRefusedError"}
