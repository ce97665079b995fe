"""Shows that an obstacle ends a command with a sentence and an exit code, and leaves no files."""

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from backstay.testing.waiting import LIMIT
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, environ, run

DROP_FROM_BOUNDING_SET, DAC_OVERRIDE = 24, 1


@pytest.mark.parametrize(
    "words",
    [
        ("upgrade", "nope"),
        ("upgrade", "+99"),
        ("upgrade", "nope@head"),
        ("downgrade", "base"),
        ("downgrade", "-1"),
        ("revision", "Something new"),
        ("revision", "--empty", "Something new"),
        ("check",),
    ],
)
def test_a_failing_command_creates_no_database(
    call: Call, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = call("db", *words)
    assert ended.code == 1
    assert (ended.output + ended.errors).endswith(".\n")
    assert [path.name for path in tmp_path.iterdir()] == [".backstay"]


@pytest.mark.parametrize("what", ["text", "folder", "pipe", "below a file"])
@pytest.mark.parametrize(
    "words",
    [("db", "upgrade"), ("db", "check"), ("db", "downgrade", "-1"), ("create-tier", "gold"),
     ("roles",), ("worker", "--drain"), ("serve",)],
    ids=" ".join,
)  # fmt: skip
def test_a_path_that_is_no_database_ends_in_a_sentence(
    call: Call, tmp_path: Path, what: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "shop.db"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("This is no database.")
    ended = call(*words, DB_URL=f"sqlite:///{path}{'/x.db' if what == 'below a file' else ''}")
    assert ended.code == 1
    assert (ended.output + ended.errors).endswith(".\n")
    assert not list(tmp_path.glob("shop.db-*"))


def without_privileges(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that obeys file permissions, even if the tests run as root."""

    def bind() -> None:
        if os.geteuid() == 0:
            ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, DAC_OVERRIDE, 0, 0, 0)

    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        preexec_fn=bind,
    )


@pytest.mark.parametrize("read_only", ["backstay.db", "."])
def test_a_read_only_database_ends_in_a_sentence(home: Path, read_only: str) -> None:
    (home / ".backstay").mkdir()
    path = home / read_only
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    ended = without_privileges(home, "create-tier", "gold")
    path.chmod(mode)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "writable" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_characters_that_the_terminal_cannot_show_are_escaped(tmp_path: Path) -> None:
    shown = run(tmp_path, "config", APP_NAME="L\u00e4den", LANG="C", PYTHONIOENCODING="ascii")
    assert shown.code == 0
    assert "L\\xe4den" in shown.output


def test_a_closed_output_pipe_causes_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [*COMMAND, "config"],
        cwd=tmp_path,
        env=environ(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
