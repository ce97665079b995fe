"""Runs the command line as its users do: a real process, in a directory, with few variables."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

import httpx

COMMAND = [sys.executable, "-m", "backstay"]
SOURCE = Path(__file__).parents[2] / "src"
PATIENCE = 30.0
KEPT = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
KEYS = {
    name: token_urlsafe(48) for name in ("SECURITY_SECRET_KEY", "SECURITY_REFRESH_TOKEN_SECRET")
}


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    output: str
    errors: str


def environ(**variables: str) -> dict[str, str]:
    """The variables of a fresh machine, and these."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(SOURCE)} | variables


def run(folder: Path, *arguments: str, typed: str = "", **variables: str) -> Result:
    """Run a command to its end; nothing that can be foreseen may end in a traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environ(**variables),
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    folder: Path
    client: httpx.Client

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return "".join((self.folder / name).read_text("utf-8") for name in ("out", "err"))

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
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
        return self.process.wait(PATIENCE)


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """Start a server and wait until it answers; it is gone in the end."""
    port = int(variables.get("SERVER_PORT") or free_port())
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), *arguments],
            cwd=folder,
            env=environ(**variables),
            stdout=out,
            stderr=err,
            text=True,
            start_new_session=True,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        server = Server(process, folder, client)
        try:
            _wait_for(server)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)
    assert "Traceback" not in server.printed, server.printed


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.printed
        try:
            if server.client.get("/livez").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(server.printed)


def workers(server: Server) -> set[int]:
    """The processes with the application: those of the family that started nobody."""
    parents = living()
    family = server.family()
    return {pid for pid in family if pid not in {parents.get(p) for p in family}}


def none_lives(pids: set[int]) -> bool:
    """Whether these processes end, which those that only help do a moment after the server."""
    deadline = time.monotonic() + 5
    while (left := pids & living().keys()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left


def living() -> dict[int, int]:
    """The parent of every process; one that only waits to be reaped is left out."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split()[:3] for line in listed.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
