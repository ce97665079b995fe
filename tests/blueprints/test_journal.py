"""A command writes everything or nothing, wherever it is stopped."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.journal import Step, clean, finish, undo, unfinished, write_all
from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT
from tests.blueprints.killing import SECOND, prepare
from tests.blueprints.trees import content, everything, interrupted, plan


def interrupt(root: Path) -> dict[str, bytes]:
    """Stop a command after it has written its first files; what was there before."""
    prepare(root)
    before = everything(root)
    interrupted(plan(root, SECOND))
    return before


def test_a_command_killed_anywhere_is_finished_or_undone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.blueprints.killing", tmp_path],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 50  # times it was killed


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path)
    before = everything(tmp_path)
    left = 0

    def fsync(_: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    for number in range(1, 23):  # as often as it is asked
        left = number
        with pytest.raises(OSError, match="No space left"):
            plan(tmp_path, SECOND).apply()
        assert everything(tmp_path) == before


def test_what_a_person_changed_after_a_crash_stays(tmp_path: Path) -> None:
    interrupt(tmp_path)
    (tmp_path / "new").mkdir(exist_ok=True)
    (tmp_path / "new/d.py").write_text("mine = 1\n")
    assert undo(tmp_path) == ("new/d.py",)
    assert content(tmp_path)["new/d.py"] == b"mine = 1\n"
    assert unfinished(tmp_path) == ()


def test_what_could_not_be_finished_is_put_beside(tmp_path: Path) -> None:
    interrupt(tmp_path)
    (tmp_path / "new").mkdir(exist_ok=True)
    (tmp_path / "new/d.py").write_text("mine = 1\n")
    assert finish(tmp_path) == ("new/d.py",)
    assert content(tmp_path)["new/d.py"] == b"mine = 1\n"
    assert content(tmp_path)["new/d.py.conflict"] == SECOND["new/d.py"].encode()


def test_finishing_and_undoing_twice_is_harmless(tmp_path: Path) -> None:
    before = interrupt(tmp_path)
    assert (undo(tmp_path), undo(tmp_path), finish(tmp_path)) == ((), (), ())
    assert everything(tmp_path) == before


def test_what_was_not_begun_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".blueprints/journal.draft").mkdir(parents=True)
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_command_waits_for_no_other(tmp_path: Path) -> None:
    folder = tmp_path / ".blueprints"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(BlueprintError, match="Another command is writing"):
        write_all(tmp_path, [Step("a.py", None, b"")])
    os.close(handle)
    write_all(tmp_path, [Step("a.py", None, b"")])
    assert content(tmp_path) == {"a.py": b""}


def test_a_files_mode_stays(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("old")
    (tmp_path / "run").chmod(0o755)
    write_all(tmp_path, [Step("run", b"old", b"new")])
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
