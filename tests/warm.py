"""Runs Python modules in forks of one process that has imported the package already.

A command of Backstay takes a second of processor time, nearly all of it for imports. Here they
are made once for each test process; what runs in a fork has its own folder, environment, arguments
and channels, and ends as a process does.

What a test shows about imports, or about what a process holds, needs one that begins with none.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from backstay.blueprints import scratch
from backstay.features import FOUNDATION
from backstay.settings.ejected import FEATURES

_FIRST = (
    "alembic.autogenerate",
    "alembic.command",
    "backstay.application",
    "backstay.cli",
    "backstay.composition.http",
    "backstay.db.migrate",
    *(f"backstay.features.{each.name}" for each in FOUNDATION),
    "httpx",
    "pytest",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
"""What is imported before the first fork, with all that these import; no feature is among it that
an application may leave out, since it is not loaded then."""
_WITHOUT = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")
"""To pytest: plugins that are installed here and in no project."""
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*_FIRST, __name__])


def run(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], *, seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m`` with these arguments to its end; there is nothing for it to read.

    A project with ejected features gets a process that begins with no imports: its features stand
    in place of those of the package, which must not be loaded before.

    Raises:
        subprocess.TimeoutExpired: it has not ended after so many seconds, and was killed.
    """
    if arguments[0] == "pytest":
        arguments = (*arguments, *_WITHOUT)
    command = [sys.executable, "-m", *arguments]
    is_measured = environ.get("COVERAGE_PROCESS_CONFIG")  # by coverage, from its start on
    if is_measured or any(folder.glob(f"src/*/ejected/{FEATURES}")):
        return subprocess.run(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip
    with TemporaryDirectory() as told:
        program = Program(arguments, folder, environ, Path(told))
        try:
            code = program.wait(seconds)
        finally:
            program.kill()
        said, complained = (Path(told, name).read_text("utf-8") for name in ("out", "err"))
        return subprocess.CompletedProcess(command, code, said, complained)


class Program:
    """``python -m`` with these arguments, running in a fork; like a `subprocess.Popen`.

    It writes to the files ``out`` and ``err`` of a folder.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        told: Path,
        *,
        leads_session: bool = False,
    ) -> None:
        for name in ("out", "err"):
            (told / name).write_bytes(b"")
        given = (list(arguments), folder, dict(environ), told, leads_session)
        self.args = [sys.executable, "-m", *arguments]
        self._process = _FORKS.Process(target=_become, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process, also if that has executed another program since."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """How it ended: as of a `subprocess.Popen`; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it has not ended after so many seconds.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, seconds or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def try_projects_warm() -> None:
    """Let what this process adds to projects be tried in forks, too."""

    def run_warm(command: Sequence[str], **options: Any) -> Any:
        if list(command[:2]) != [sys.executable, "-m"]:
            return subprocess.run(command, **options)  # noqa: PLW1510 - it is in the options
        return run(command[2:], options["cwd"], options["env"], seconds=options["timeout"])

    vars(scratch)["subprocess"] = SimpleNamespace(run=run_warm, DEVNULL=subprocess.DEVNULL)


def _become(
    arguments: list[str], folder: Path, environ: dict[str, str], told: Path, leads_session: bool
) -> None:
    if leads_session:
        os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        opened = os.open(told / name, os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = arguments
    paths = environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [str(folder), *filter(None, paths)]
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
