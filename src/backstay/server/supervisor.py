"""Runs the server as a child process: drains it before it stops, and lets nothing survive.

The supervisor lives as long as the server, so it is a program of its own, of the standard library
alone: whoever has checked everything becomes it, and leaves what the checks needed behind.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from math import inf
from pathlib import Path
from types import FrameType
from typing import NoReturn

from backstay.core.runtime_dir import DRAINING, FOLDER, METRICS
from backstay.server.run_folder import run_folder

PATIENCE = 5.0
"""Seconds that a server gets beyond its own grace before it is killed."""
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def become_supervisor(
    command: list[str], *, drain_seconds: float, graceful_seconds: float
) -> NoReturn:
    """Turn this process into the supervisor of a command; see `Supervisor`.

    Its id stays, and a signal to stop that comes meanwhile waits until the supervisor counts it.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    arguments = [str(drain_seconds), str(graceful_seconds), *command]
    os.execv(sys.executable, [sys.executable, "-m", __name__, *arguments])  # noqa: S606


class Supervisor:
    """Runs one command until it ends or is told to stop.

    The first signal drains: readiness is refused for ``drain_seconds`` while requests are still
    served; then the server is stopped and gets ``graceful_seconds`` to finish what runs. A second
    signal kills at once.
    """

    def __init__(
        self, command: list[str], *, drain_seconds: float, graceful_seconds: float
    ) -> None:
        self._command = command
        self._drain_seconds = drain_seconds
        self._graceful_seconds = graceful_seconds
        self._signals = 0
        self._woken, self._wakes = os.pipe()

    def run(self) -> int:
        """The exit code: 0 after a stop that was asked for, 1 when the server ended by itself."""
        self._hear()
        with run_folder() as folder:
            (folder / METRICS).mkdir()
            server = subprocess.Popen(  # noqa: S603
                self._command, env=os.environ | {FOLDER: str(folder)}, start_new_session=True
            )
            try:
                self._wait(server, signals=1)
                if self._signals:
                    self._stop(server, folder)
            finally:
                _kill(server)
        if not self._signals:
            print(f"The server ended by itself (code {server.returncode}).", file=sys.stderr)
        return 0 if self._signals else 1

    def _hear(self) -> None:
        """Be woken by the signals to stop and by the end of the server, and by nothing else."""
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._count)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPPING, signal.SIGCHLD))

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _stop(self, server: "subprocess.Popen[bytes]", folder: Path) -> None:
        with contextlib.suppress(OSError):  # somebody cleaned up there, or the disk is full
            (folder / DRAINING).touch()
        self._wait(server, signals=2, seconds=self._drain_seconds)
        if self._signals < 2 and server.poll() is None:
            server.send_signal(signal.SIGTERM)
            self._wait(server, signals=2, seconds=self._graceful_seconds + PATIENCE)

    def _wait(
        self, server: "subprocess.Popen[bytes]", *, signals: int, seconds: float = inf
    ) -> None:
        """Until the server ended, so many signals came, or time is up."""
        deadline = time.monotonic() + seconds
        while self._signals < signals and server.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if select.select([self._woken], [], [], left if left < inf else None)[0]:
                os.read(self._woken, 4096)


def _kill(server: "subprocess.Popen[bytes]") -> None:
    """End whatever is left of the server's process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def main(drain_seconds: str, graceful_seconds: str, *command: str) -> int:
    """Supervise a command; the exit code."""
    supervisor = Supervisor(
        list(command),
        drain_seconds=float(drain_seconds),
        graceful_seconds=float(graceful_seconds),
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
