"""Shows the files that settings name: plain files, pipes (read once), and what is refused."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from backstay.settings import files, read_settings
from backstay.settings.files import KEPT, MOST_BYTES, MOST_KEPT, read_text
from backstay.testing.waiting import LIMIT
from tests.settings.reading import Read, faulty


def put(what: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create something other than a readable file at the path."""
    if what == "folder":
        path.mkdir()
    elif what == "socket":
        monkeypatch.chdir(path.parent)  # its name may not be long
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    elif what == "long":
        path.write_bytes(b"#" * (MOST_BYTES + 1))
    else:
        path.symlink_to({"device": "/dev/zero", "link": "nowhere", "loop": path.name}[what])


@contextmanager
def pipe(path: Path, content: str) -> Iterator[None]:
    """A named pipe into which the content is written once, for the first reader."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):
            path.write_bytes(content.encode("utf-8", "surrogateescape"))

    writer = Thread(target=write, daemon=True)
    writer.start()
    yield
    writer.join(LIMIT)
    assert not writer.is_alive()


@pytest.mark.parametrize("make", ["folder", "device", "socket", "link", "long", "loop"])
def test_anything_but_a_file_as_env_file_is_a_fault(
    read: Read, tmp_path: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(make, tmp_path / ".env", monkeypatch)
    assert faulty(read()) == [".env"]
    assert not (tmp_path / ".backstay").exists()  # it might have been production


def test_a_link_to_a_file_is_followed(read: Read, tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("APP_NAME=Linked\r\n")
    (tmp_path / ".env").symlink_to("settings")
    assert read().shown["APP_NAME"] == "Linked"


@pytest.mark.parametrize("make", ["device", "socket", "link", "long", "loop"])
def test_anything_but_a_file_as_secret_is_a_fault(
    read: Read, tmp_path: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(make, tmp_path / "secret", monkeypatch)
    assert faulty(read(ADMIN_PASSWORD_FILE="secret")) == ["ADMIN_PASSWORD_FILE"]


def test_an_impossible_path_is_a_fault(read: Read) -> None:
    assert faulty(read(ADMIN_PASSWORD_FILE="a\0b")) == ["ADMIN_PASSWORD_FILE"]


def test_an_env_file_may_be_a_pipe(read: Read, tmp_path: Path) -> None:
    with pipe(tmp_path / ".env", "ENVIRONMENT=production\nAPP_NAME=Piped\n"):
        loaded = read()
    assert loaded.shown["ENVIRONMENT"] == "production"
    assert loaded.origins["APP_NAME"] == ".env"


def test_a_secret_file_may_be_a_pipe(read: Read, tmp_path: Path) -> None:
    with pipe(tmp_path / "password", "from a pipe\n"):
        loaded = read(ADMIN_PASSWORD_FILE="password")
    assert loaded.settings is not None
    assert loaded.settings.admin.password is not None
    assert loaded.settings.admin.password.get_secret_value() == "from a pipe"


def test_a_pipe_opened_by_a_shell_is_read(read: Read) -> None:
    source, sink = os.pipe()
    os.write(sink, b"from a shell")
    os.close(sink)
    loaded = read(ADMIN_PASSWORD_FILE=f"/dev/fd/{source}")
    os.close(source)
    assert loaded.errors == ()


def test_child_processes_get_the_content_of_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SERVER_PORT", KEPT):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("ADMIN_PASSWORD_FILE", "password")
    with pipe(tmp_path / ".env", "SERVER_PORT=7000\n"), pipe(tmp_path / "password", "pässword"):
        first = read_settings(directory=tmp_path)
    again = read_settings(directory=tmp_path)
    assert again == first
    assert again.settings is not None
    assert again.settings.server.port == 9000  # the environment is as strong as it was
    assert first.warnings == ()


def test_a_plain_file_overrules_inherited_pipe_content(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SERVER_PORT=7001\n")
    kept = json.dumps({str(tmp_path / ".env"): "SERVER_PORT=7000"})
    found = read({KEPT: kept}).settings
    assert found is not None
    assert found.server.port == 7001


@pytest.mark.parametrize("kept", ['{".env": 5}', "[" * 100_000, "nul", "[]"])
def test_invalid_inherited_pipe_content_is_ignored(read: Read, tmp_path: Path, kept: str) -> None:
    assert read({KEPT: kept.replace(".env", str(tmp_path / ".env"))}).settings is not None


@pytest.mark.parametrize("content", ["", "\n", "\udcff", "#" * (MOST_BYTES + 1)])
def test_the_content_of_a_pipe_must_be_text(read: Read, tmp_path: Path, content: str) -> None:
    with pipe(tmp_path / ".env", content):
        assert faulty(read()) == [".env"]


def test_a_pipe_without_a_writer_is_a_fault_after_waiting(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    os.mkfifo(tmp_path / ".env")
    os.mkfifo(tmp_path / "password")
    loaded = read(ADMIN_PASSWORD_FILE="password")
    assert faulty(loaded) == [".env", "ADMIN_PASSWORD_FILE"]
    assert not (tmp_path / ".backstay").exists()


def test_files_that_are_read_repeatedly_may_not_be_pipes(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = str(tmp_path / "pipe")
    assert faulty(read(SECURITY_BREACHED_PASSWORDS_FILE=path)) == [
        "SECURITY_BREACHED_PASSWORDS_FILE"
    ]
    assert faulty(read(DB_URL=f"postgresql://h/d?sslrootcert={path}")) == ["DB_URL"]


def test_pipes_that_are_too_long_together_are_refused(tmp_path: Path) -> None:
    environ = {KEPT: json.dumps({"/another": "x" * (MOST_KEPT - 100)})}
    with pipe(tmp_path / "key", "y" * 100), pytest.raises(OSError, match="too long"):
        read_text(tmp_path / "key", environ)
    assert "key" not in environ[KEPT]
