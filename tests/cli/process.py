"""Runs the command line as users do: a real process, in a directory, with few variables."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import TypeAlias

import httpx

from backstay.db import sqlite
from backstay.db.sqlite import first_sound
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests import warm
from tests.patient import PATIENT

COMMAND = [sys.executable, "-m", "backstay"]
SOURCE = Path(__file__).parents[2] / "src"
PROCESSES = Path("/proc")
NEVER = "100000"
"""Seconds, as a setting: longer than any test waits."""
KEPT = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
KEYS = {
    name: token_urlsafe(48) for name in ("SECURITY_SECRET_KEY", "SECURITY_REFRESH_TOKEN_SECRET")
}
Process: TypeAlias = "subprocess.Popen[str] | warm.Program"
"""What runs."""
WELL = "degraded" if first_sound(sqlite.installed()).is_affected else "ok"
"""The /health status of a healthy process: `degraded` if the only SQLite can corrupt files."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    output: str
    errors: str


def environ(**variables: str) -> dict[str, str]:
    """The environment variables of a fresh machine, and these."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(SOURCE)} | variables


def run(
    folder: Path,
    *arguments: str,
    typed: str = "",
    command: Sequence[str] = COMMAND,
    seconds: float | str = LIMIT,
    **variables: str,
) -> Result:
    """Run a command to its end; an expected error must not print a traceback."""
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environ(**variables),
        input=typed,
        capture_output=True,
        text=True,
        timeout=float(seconds),
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


def run_warm(folder: Path, *arguments: str, **variables: str) -> Result:
    """The same with a command that is not about its start: in a fork, which costs little."""
    given = environ(**variables)
    done = warm.run(("backstay", *arguments), folder, given, seconds=LIMIT)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class Server:
    """A running server."""

    process: Process
    folder: Path
    client: httpx.Client
    is_broken: bool = False
    """Whether its test takes something away, so that it may tell of errors in the code."""

    @property
    def printed(self) -> str:
        """What the server has printed so far."""
        return "".join((self.folder / name).read_text("utf-8") for name in ("out", "err"))

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self.client.base_url.port or 0

    def family(self) -> set[int]:
        """The server and the processes that descend from it, as long as they live."""
        parents, found = living(), {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found & parents.keys()

    def stop(self, number: signal.Signals, *, group: bool = False) -> int:
        """Send a signal (to the whole group, as a terminal does) and return the exit code."""
        (os.killpg if group else os.kill)(self.process.pid, number)
        return self.process.wait(LIMIT)

    def ask(self, path: str) -> int | None:
        """The status of the answer, if there is one; the connection is closed after it."""
        try:
            return self.client.get(path, headers={"Connection": "close"}).status_code
        except httpx.TransportError:
            return None

    def connect(self) -> socket.socket:
        """A new connection to the server."""
        return socket.create_connection(("127.0.0.1", self.port), LIMIT)


@contextmanager
def serving(
    folder: Path, *arguments: str, command: Sequence[str] = COMMAND, **variables: str
) -> Iterator[Server]:
    """Start a server and wait until it answers; it is stopped in the end."""
    port = int(variables.get("SERVER_PORT") or free_port())
    given = ("serve", "--port", str(port), *arguments)
    process = start(folder, (*command, *given), environ(**PATIENT | variables))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as client:
        server = Server(process, folder, client)
        try:
            until(lambda: _has_started(server), lambda: server.printed)
            yield server
            if variables.get("SERVER_DRAIN_SECONDS") == NEVER:
                until(lambda: _is_gone(process))
            elif process.poll() is None:
                server.stop(signal.SIGTERM)
        finally:
            process.kill()
            process.wait(LIMIT)
    assert server.is_broken or "Traceback" not in server.printed, server.printed


def start(folder: Path, command: Sequence[str], given: dict[str, str]) -> Process:
    """Start a command that leads a session; it writes to the files `out` and `err`.

    Backstay's own runs in a fork, which costs little: a server soon executes its supervisor, which
    begins with no imports, as its workers do.
    """
    if list(command[:3]) == COMMAND and not given.get("COVERAGE_PROCESS_CONFIG"):
        return warm.Program(command[2:], folder, given, folder, leads_session=True)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=given,
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )


def _has_started(server: Server) -> bool:
    """A server that is not ready yet refuses connections: neither an empty answer nor a reset."""
    assert server.process.poll() is None, server.printed
    try:
        return server.client.get("/livez", headers={"Connection": "close"}).status_code == 200
    except httpx.ConnectError:
        return False


def _is_gone(process: Process) -> bool:
    """Send the stop signal again: from the second time on the server does not drain."""
    process.terminate()
    return process.poll() is not None


@dataclass(frozen=True)
class HeldLogin:
    """A login whose body the application has begun to read and which the test completes."""

    connection: socket.socket

    def go_on(self) -> None:
        """Send spaces, because the server gives up a silent client after a while."""
        self.send(b" " * 64)  # a login may have 16 KiB in all

    def finish(self) -> bytes:
        """Send the rest of the body; the beginning of the answer."""
        self.send(b"}")
        self.send(b"")
        return self.connection.recv(65_536)

    def send(self, chunk: bytes) -> None:
        """Send a part of the body."""
        self.connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")


@contextmanager
def held_login(server: Server) -> Iterator[HeldLogin]:
    """Begin to sign in with a wrong password; the test sends the end of the body."""
    head = (
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    )
    with server.connect() as connection:
        connection.sendall(head.encode())
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        held = HeldLogin(connection)
        held.send(b'{"email": "nobody@example.org", "password": "wrong"')
        yield held


def workers(server: Server) -> set[int]:
    """The processes with the application: those of the family without children."""
    parents = living()
    family = server.family()
    return {pid for pid in family if pid not in {parents.get(p) for p in family}}


def none_lives(pids: set[int]) -> bool:
    """Wait until these processes have ended; helpers end a moment after the server."""
    return until(lambda: not pids & living().keys(), lambda: pids & living().keys())


def living() -> dict[int, int]:
    """The parent of every process; zombies are left out."""
    rows = _rows_of_proc() if (PROCESSES / "self/stat").exists() else _rows_of_ps()
    return {int(pid): int(parent) for pid, parent, state in rows if state[0] not in "ZX"}


def _rows_of_proc() -> Iterator[tuple[str, str, str]]:
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            told = (folder / "stat").read_bytes().rpartition(b")")[2].decode()
            state, parent = told.split()[:2]
            yield folder.name, parent, state


def _rows_of_ps() -> Iterator[tuple[str, str, str]]:
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
    for line in listed.stdout.splitlines():
        pid, parent, state = line.split()[:3]
        yield pid, parent, state
