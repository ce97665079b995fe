"""Fixtures: server kinds, running servers that tests share, the command line in this process."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from backstay.cli import main
from backstay.settings.schema import PACKAGED
from backstay.testing import Templates
from tests.cli.process import Result, Server, serving

Call = Callable[..., Result]
Shared = Callable[..., Server]


@pytest.fixture(scope="module", params=["granian", "uvicorn", "gunicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each server (`SERVER_TYPE`)."""
    found: str = request.param
    return found


@pytest.fixture
def home(tmp_path: Path, templates: Templates) -> Path:
    """The working directory of a server or command, with a migrated and seeded database."""
    templates.copy("sqlite", tmp_path, name="backstay.db")
    return tmp_path


@pytest.fixture(scope="module")
def shared(
    kind: str, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """Returns the running server with these settings; a new one if a test has stopped it."""
    running: dict[frozenset[tuple[str, str]], Server] = {}

    def server(**variables: str) -> Server:
        key = frozenset(variables.items())
        if key not in running or running[key].process.poll() is not None:
            folder = tmp_path_factory.mktemp(kind)
            templates.copy("sqlite", folder, name="backstay.db")
            running[key] = stack.enter_context(serving(folder, SERVER_TYPE=kind, **variables))
        return running[key]

    with ExitStack() as stack:
        yield server


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs a command in this process; returns its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, typed: str = "", **variables: str) -> Result:
        with monkeypatch.context() as patch, mock.patch.dict(os.environ):
            for name in (name for variable in PACKAGED.variables for name in variable.names):
                os.environ.pop(name, None)
            os.environ.update(variables)
            patch.setattr(sys, "argv", ["backstay", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(typed))
            patch.setattr(os, "execv", _become_another)
            with (
                redirect_stdout(io.StringIO()) as output,
                redirect_stderr(io.StringIO()) as errors,
                pytest.raises(SystemExit) as ended,
            ):
                main()
        return Result(int(ended.value.code or 0), output.getvalue(), errors.getvalue())

    return run


def _become_another(path: str, arguments: list[str]) -> None:
    raise AssertionError(f"this process was about to become {arguments}")
