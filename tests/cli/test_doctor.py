"""Shows what `doctor` says of a project that is well, and of what is wrong with one."""

import json
import os
import signal
import socket
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backstay.cli import doctor
from backstay.cli.checks import CHECKS, Subject
from backstay.testing.waiting import LIMIT
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, KEYS, Result, environ, run_warm

SOUND = {"note", "ok"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its database."""
    folder = tmp_path_factory.mktemp("doctor")
    assert run_warm(folder, "new", "shop", "--bare").code == 0
    assert run_warm(folder / "shop", "db", "upgrade").code == 0
    return folder / "shop"


def told(result: Result) -> dict[str, list[dict[str, Any]]]:
    """The findings by check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(result.output)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_a_project_that_is_well_is_told_so(shop: Path) -> None:
    done = run_warm(shop, "doctor")
    assert done.code == 0, done.output
    *lines, last = done.output.splitlines()
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert groups == ["project", "host", "secrets", "database", "jobs", "backups", "mail"]
    severities = {line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "}
    assert severities <= SOUND | {"warning"}
    assert "error" not in last


def test_what_is_wrong_is_told_with_what_to_do(shop: Path) -> None:
    faulty = run_warm(shop, "doctor", "--json", SERVER_PORT="x", DB_URL="sqlite:///./other.db")
    assert faulty.code == 1
    report = json.loads(faulty.output)
    assert (report["version"], report["ok"]) == (1, False)
    assert report["counts"]["error"] == 2
    found = told(faulty)
    assert found["project.settings"] == [
        {
            "check": "project.settings",
            "severity": "error",
            "cause": "SERVER_PORT should be a valid integer, unable to parse string as an integer.",
            "mend": "Set it to: port (1 to 65535), such as 8000.",
        }
    ]
    (missing,) = found["database.reachable"]
    assert missing["cause"] == "There is no database yet."
    assert missing["mend"] == "Run `backstay db upgrade`."
    assert "database.schema" in report["skipped"]
    assert not (shop / "other.db").exists()


def test_open_conflicts_and_older_releases_are_told(shop: Path) -> None:
    [record] = (shop / ".blueprints" / "records").glob("*.json")
    text = record.read_text()
    record.write_text(text[:-9])
    broken = run_warm(shop, "doctor")
    assert broken.code == 1
    assert "cannot be read" in broken.output
    record.write_text(json.dumps(json.loads(text) | {"release": "0.0.1"}))
    (shop / "README.md.conflict").write_text("<<<<<<<\n")
    application = shop / "src" / "shop" / "application.py"
    code = application.read_text()
    application.write_text(f"from backstay import Gone\n{code}")  # as with a newer release
    told = run_warm(shop, "doctor")
    (shop / "README.md.conflict").unlink()
    record.write_text(text)
    application.write_text(code)
    assert told.code == 1
    assert "cannot import name 'Gone'" in told.output
    assert "README.md.conflict has conflicts of an earlier command" in told.output
    assert "What 0.0.1 wrote is not up to date." in told.output
    assert "Run: backstay upgrade" in told.output
    assert "a row was written, and taken back" in told.output


def test_warnings_fail_only_if_that_is_asked(call: Call, home: Path) -> None:
    variables = KEYS | {"ENVIRONMENT": "production", "LOG_DIR": ""}
    variables |= {"APP_PUBLIC_URL": "https://shop.example"}
    assert call("doctor", **variables).code == 0
    strict = call("doctor", "--strict", "--json", **variables)
    report = json.loads(strict.output)
    assert (strict.code, report["ok"], report["counts"]["error"]) == (1, False, 0)
    assert report["counts"]["warning"] > 1
    assert not any(secret in strict.output for secret in KEYS.values())


def test_it_ends_although_a_server_never_answers(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves without waiting for what hangs; here that is only noted."""
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    soon = replace(CHECKS["redis.reachable"], seconds=0.2)
    monkeypatch.setattr(doctor, "CHECKS", {"redis.reachable": soon})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = call("doctor", REDIS_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
    assert (left, result.code) == ([1], 1)
    assert "No answer within 0.2 s." in result.output


def test_an_import_that_hangs_does_not_hold_it_up(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())
    monkeypatch.setattr(doctor, "_LONGEST", 0.01)
    monkeypatch.setattr(doctor, "CHECKS", {})
    monkeypatch.setattr(Subject, "here", lambda: ended.wait(LIMIT) and Subject(None))
    assert "It has not ended within 0.01 s" in call("doctor").errors
    assert ended.is_set()


def test_an_interruption_ends_it_at_once(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        process = subprocess.Popen(
            [*COMMAND, "doctor"],
            cwd=home,
            env=environ(REDIS_URL=url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(LIMIT)
        connection, _ = silent.accept()  # now it waits
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        connection.close()
    assert (process.returncode, errors) == (130, "Interrupted.\n")
