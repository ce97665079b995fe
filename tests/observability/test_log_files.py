"""Shows what the server logs to files, and that rotation loses no line."""

import io
import json
import logging
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import structlog

from backstay.application import create_app
from backstay.observability.log_files import LogFiles
from backstay.observability.log_libraries import take_over
from backstay.observability.logging import Form, configure
from backstay.testing import ADMIN_EMAIL, PASSWORD, Templates, client_of, settings_with
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import serving
from tests.db.processes import run_at_once

LINES = 2000
WRITE = f"""
import os, sys, time
from pathlib import Path
from backstay.observability.log_files import LogFiles
files = LogFiles(sys.argv[1], max_bytes=20_000, kept=1000)
assert files.start() is None
Path(sys.argv[1], f"ready-{{os.getpid()}}").touch()
while len(list(Path(sys.argv[1]).glob("ready-*"))) < 2:
    time.sleep(0.01)
for number in range({LINES}):
    files.server({{"pid": os.getpid(), "number": number, "padding": "x" * 40}})
files.stop()
"""


@pytest.fixture
def restored() -> Iterator[None]:
    """Restore the logging configuration after the test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_files_stop_at_whatever_moment_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here between the pause after a line and the next wait: the thread must still end."""
    files = LogFiles(str(tmp_path))
    assert files.start() is None
    thread, is_stopped = files._thread, files._stopping

    class Told(Event):
        def wait(self, timeout: float | None = None) -> bool:
            is_stopped.set()
            files._has_lines.set()
            return False

        is_set = is_stopped.is_set

    monkeypatch.setattr(files, "_stopping", Told())
    files.server({"event": "a line"})
    assert thread is not None
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert [entry["event"] for entry in entries(tmp_path, "server")] == ["a line"]


def entries(folder: Path, name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{name}.log*"))
        for line in path.read_text("utf-8").splitlines()
    ]


def started(logs: Path) -> list[dict[str, Any]]:
    return [entry for entry in entries(logs, "server") if entry["event"] == "server started"]


def test_two_processes_that_rotate_lose_no_line(tmp_path: Path) -> None:
    run_at_once(2, [sys.executable, "-c", WRITE, str(tmp_path)])
    assert len(list(tmp_path.glob("server.log.*"))) > 10
    written = entries(tmp_path, "server")
    by_process: dict[int, list[int]] = {}
    for entry in written:
        by_process.setdefault(entry["pid"], []).append(entry["number"])
    assert [sorted(numbers) for numbers in by_process.values()] == [list(range(LINES))] * 2


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path), max_bytes=1000, kept=2)
    assert files.start() is None
    for number in range(500):
        files.server({"number": number})
    files.stop()
    assert {path.name for path in tmp_path.glob("server.log*")} == {
        "server.log",
        "server.log.1",
        "server.log.2",
    }
    assert entries(tmp_path, "activity") == []


@pytest.mark.usefixtures("restored")
def test_warnings_of_libraries_are_kept_too(tmp_path: Path) -> None:
    files = LogFiles(str(tmp_path))
    configure("INFO", "json", files.server)
    take_over()
    assert files.start() is None
    logging.getLogger("some.library").warning("deep water: %s m", 12)
    logging.getLogger("some.library").info("nothing to see")
    files.stop()
    logging.getLogger("some.library").warning("after the end")
    (entry,) = entries(tmp_path, "server")
    assert entry["event"] == "deep water: 12 m"
    assert (entry["logger"], entry["level"]) == ("some.library", "warning")


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = LogFiles("")
    assert files.start() is None
    files.server({"event": "unheard"})
    files.stop()
    assert list(tmp_path.iterdir()) == []


def test_log_files_hold_server_log_and_audit_trail_without_secrets(
    tmp_path: Path, templates: Templates
) -> None:
    templates.copy("sqlite", tmp_path, name="backstay.db")
    logs = tmp_path / "logs"
    body = {"email": ADMIN_EMAIL, "password": PASSWORD, "transport": "body"}
    with serving(tmp_path, SERVER_WORKERS="2") as server:
        signed_in = server.client.post("/api/v1/auth/login", json=body)
        assert signed_in.status_code == 200
        wrong = body | {"password": "not the password"}
        assert server.client.post("/api/v1/auth/login", json=wrong).status_code == 401
        until(lambda: len(started(logs)) == 2)
        assert server.stop(signal.SIGTERM) == 0
    events = [entry["event"] for entry in entries(logs, "server")]
    assert len(started(logs)) == 2
    assert events.count("server stopped") == 2
    assert "request" in events
    activity = entries(logs, "activity")
    logins = [entry for entry in activity if entry["message"] == "Login"]
    assert [entry["outcome"] for entry in logins] == ["ok", "refused"]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", entry["user_id"]) for entry in logins)
    written = "".join(path.read_text("utf-8") for path in logs.glob("*.log*"))
    tokens = signed_in.json()
    for secret in (PASSWORD, "not the password", tokens["access_token"], tokens["refresh_token"]):
        assert secret not in written
    assert (logs / "activity.log").stat().st_mode & 0o007 == 0


async def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    url, _ = templates.copy("sqlite", tmp_path)
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    settings = settings_with(url, tmp_path, LOG_DIR=str(tmp_path / "file/logs"))
    app = create_app(settings, worker=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert "LOG_DIR cannot be written" in told.getvalue()
        assert (await client.get("/readyz")).status_code == 200


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_process_without_standard_error_logs_to_its_files_alone(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    kept: list[object] = []
    configure("INFO", form, lambda event: kept.append(event["event"]))
    structlog.get_logger().info("told")
    assert kept == ["told"]
