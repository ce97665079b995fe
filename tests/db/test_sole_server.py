"""Tests that one process at a time serves an SQLite file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.core.wiring import BootError, Code
from backstay.db import sole_server as module
from backstay.db.sole_server import lock_server, sole_server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)


def test_a_second_server_of_one_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sole_server(file), pytest.raises(BootError) as refused, sole_server(file):
        pytest.fail("two serve it")
    (fault,) = refused.value.faults
    assert fault.code is Code.SERVER_TWICE
    assert fault.where == str(file)


def test_the_next_server_takes_over(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    for _ in range(2):
        with sole_server(file):
            pass


def test_other_databases_are_not_locked(tmp_path: Path) -> None:
    with sole_server(None), sole_server(None), sole_server(tmp_path / "gone" / "shop.db"):
        assert not list(tmp_path.iterdir())


def test_a_killed_server_leaves_no_lock(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    source = (
        "import sys; from pathlib import Path; from backstay.db.sole_server import lock_server\n"
        "lock_server(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", source, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BootError, match="Stop the other server"):
            lock_server(file)
        other.kill()
    lock = lock_server(file)
    assert lock is not None
    os.close(lock)
