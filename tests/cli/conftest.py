"""The servers by name; and the command line in this process, where a real one takes longer."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.cli import main
from backstay.settings.model import VARIABLES
from tests.cli.process import Result

Call = Callable[..., Result]


@pytest.fixture(params=["granian", "uvicorn", "gunicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the servers."""
    found: str = request.param
    return found


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Ends like a process: with a code, what it printed, and what it complained about."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, typed: str = "", **variables: str) -> Result:
        with monkeypatch.context() as patch:
            for name in (name for variable in VARIABLES for name in variable.names):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["backstay", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(typed))
            with pytest.raises(SystemExit) as ended:
                main()
        output, errors = capsys.readouterr()
        return Result(int(ended.value.code or 0), output, errors)

    return run
