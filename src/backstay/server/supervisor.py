"""Runs the server as a child process: says when it is ready, drains it, and kills what remains.

The supervisor lives as long as the server, so it should use little memory. It is a separate program
that imports only the standard library. The command `serve` runs its checks and then replaces itself
with the supervisor (exec), which frees the memory of the checks.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from math import inf
from pathlib import Path
from types import FrameType
from typing import NoReturn

from backstay.core.runtime_dir import DRAINING, FOLDER, METRICS, REFUSED, STARTED
from backstay.server.run_folder import run_folder

PATIENCE = 5.0
"""Seconds after ``graceful_seconds`` at which a server that still runs is killed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks whether the server is ready."""
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def become_supervisor(
    command: list[str], *, drain_seconds: float, graceful_seconds: float, workers: int, url: str
) -> NoReturn:
    """Replace this process with the supervisor of a command.

    The first stop signal drains the server: for ``drain_seconds`` it reports that it is not ready,
    while it still serves requests. Then it is stopped and has ``graceful_seconds`` to finish
    running requests. A second signal kills it at once.

    The process id stays the same. A stop signal that arrives meanwhile stays blocked until the
    supervisor can count it.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    arguments = [str(drain_seconds), str(graceful_seconds), str(workers), url, *command]
    os.execv(sys.executable, [sys.executable, "-m", __name__, *arguments])  # noqa: S606


class _Supervisor:
    """Runs one command until it ends or is told to stop.

    It prints that the server is ready once all its workers have started and ``url``, which is
    ``http://host:port``, accepts connections.
    """

    def __init__(
        self,
        command: list[str],
        *,
        drain_seconds: float,
        graceful_seconds: float,
        workers: int,
        url: str,
    ) -> None:
        self._command = command
        self._workers = workers
        self._url = url
        self._drain_seconds = drain_seconds
        self._graceful_seconds = graceful_seconds
        self._signals = 0
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> int:
        """Run the command; the exit code is 0 after a stop signal, 1 if the command ended first."""
        self._listen_for_signals()
        with run_folder() as folder:
            (folder / METRICS).mkdir()
            server = subprocess.Popen(  # noqa: S603
                self._command, env=os.environ | {FOLDER: str(folder)}, start_new_session=True
            )
            try:
                self._announce(server, folder)
                self._wait(server, signals=1)
                if self._signals:
                    self._stop(server, folder)
            finally:
                _kill(server)
            has_said_why = (folder / REFUSED).exists() and not _started(folder)
        if not self._signals and not has_said_why:
            print(f"The server ended by itself (code {server.returncode}).", file=sys.stderr)
        return 0 if self._signals else 1

    def _listen_for_signals(self) -> None:
        """Let stop signals and the end of the server wake this process, and nothing else."""
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._count)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPPING, signal.SIGCHLD))

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _announce(self, server: "subprocess.Popen[bytes]", folder: Path) -> None:
        pause = _FIRST_PAUSE
        while not (_started(folder) >= self._workers and _accepts(self._url)):
            self._wait(server, signals=1, seconds=pause)
            if self._signals or server.poll() is not None:
                return
            pause = min(pause * 1.02, _LONGEST_PAUSE)
        if sys.stdout is not None:  # else another file may have its descriptor
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(sys.stdout.fileno(), f"Ready: {self._url}\n".encode())

    def _stop(self, server: "subprocess.Popen[bytes]", folder: Path) -> None:
        with contextlib.suppress(OSError):  # the folder was removed, or the disk is full
            (folder / DRAINING).touch()
        self._wait(server, signals=2, seconds=self._drain_seconds)
        if self._signals < 2 and server.poll() is None:
            server.send_signal(signal.SIGTERM)
            self._wait(server, signals=2, seconds=self._graceful_seconds + PATIENCE)

    def _wait(
        self, server: "subprocess.Popen[bytes]", *, signals: int, seconds: float = inf
    ) -> None:
        """Wait until the server ends, so many signals have arrived, or the time is over."""
        deadline = time.monotonic() + seconds
        while self._signals < signals and server.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if select.select([self._wake_read], [], [], left if left < inf else None)[0]:
                os.read(self._wake_read, 4096)


def _started(folder: Path) -> int:
    """How many workers have reported that they can serve."""
    with contextlib.suppress(OSError):  # the folder was removed
        return sum(file.name.startswith(STARTED) for file in folder.iterdir())
    return 0


def _accepts(url: str) -> bool:
    """Whether a server listens at a URL; it gets no request, which it would count and log."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _kill(server: "subprocess.Popen[bytes]") -> None:
    """Kill every process that remains of the server's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def main(drain_seconds: str, graceful_seconds: str, workers: str, url: str, *command: str) -> int:
    """Supervise a command and return the exit code."""
    supervisor = _Supervisor(
        list(command),
        drain_seconds=float(drain_seconds),
        graceful_seconds=float(graceful_seconds),
        workers=int(workers),
        url=url,
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
