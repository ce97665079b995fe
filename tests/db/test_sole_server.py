"""Tests that one process at a time serves an SQLite file."""

from pathlib import Path

import pytest

from backstay.core.wiring import BootError, Code
from backstay.db import sole_server as module
from backstay.db.sole_server import sole_server


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
