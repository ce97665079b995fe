"""Shows which run folder a supervisor uses while others start, and without file locks."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backstay.server.run_folder import PREFIX, run_folder

Meanwhile = Callable[[Callable[[Path], None]], None]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Registers a call that runs right after the next folder is created."""
    make = tempfile.mkdtemp

    def arrange(happens: Callable[[Path], None]) -> None:
        def made(prefix: str) -> str:
            monkeypatch.setattr(tempfile, "mkdtemp", make)
            folder = make(prefix=prefix)
            happens(Path(folder))
            return folder

        monkeypatch.setattr(tempfile, "mkdtemp", made)

    return arrange


@pytest.fixture
def held() -> Iterator[list[int]]:
    opened: list[int] = []
    yield opened
    for each in opened:
        os.close(each)


def test_a_folder_that_another_start_is_removing_is_not_used(
    meanwhile: Meanwhile, held: list[int]
) -> None:
    taken = []

    def take(folder: Path) -> None:
        taken.append(folder)
        held.append(os.open(folder, os.O_RDONLY))
        fcntl.flock(held[0], fcntl.LOCK_EX)

    meanwhile(take)
    with run_folder() as folder:
        assert taken
        assert folder.is_dir()
        assert folder not in taken


def test_a_folder_that_another_start_has_removed_is_not_used(
    meanwhile: Meanwhile, temporary: Path
) -> None:
    meanwhile(shutil.rmtree)
    with run_folder() as folder:
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


def test_without_file_locks_no_folder_of_others_is_removed(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    left = temporary / f"{PREFIX}left"
    left.mkdir()
    with run_folder() as folder:
        assert folder.is_dir()
    assert list(temporary.iterdir()) == [left]


def test_the_folder_of_another_user_stays(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    theirs = temporary / f"{PREFIX}theirs"
    theirs.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    with run_folder():
        assert theirs.exists()
