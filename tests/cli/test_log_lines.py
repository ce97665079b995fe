"""Shows that each line of a JSON log is an event, however the application fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backstay.core.runtime_dir import FOLDER, METRICS
from backstay.server.options import Options
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import SOURCE, environ
from tests.services.otlp import collector
from tests.services.sentry import sentry

ROOT = SOURCE.parent


def lines(folder: Path) -> list[str]:
    return [line for name in ("out", "err") for line in (folder / name).read_text().splitlines()]


@contextmanager
def failing(kind: str, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """A server whose application fails; it logs into the folder, and is stopped in the end."""
    (folder / METRICS).mkdir()
    port = free_port()
    options = Options(kind, "127.0.0.1", port, 1, 1, 60, 5, reload=None, supervisor=os.getpid())
    command = [sys.executable, "-m", "tests.cli.failing", options.command()[-1]]
    settings = {"LOG_FORMAT": "json", "SERVER_TYPE": kind, FOLDER: str(folder)} | variables
    environment = environ(**settings)
    environment["PYTHONPATH"] += f":{ROOT}"
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)
    finally:
        process.kill()
        process.wait(LIMIT)


def fail_in_every_way(client: httpx.Client, folder: Path) -> None:
    def status(path: str) -> int | None:
        try:
            return client.get(path, headers={"Connection": "close"}).status_code
        except httpx.TransportError:
            return None

    until(lambda: status("/livez") == 200, lambda: lines(folder))
    assert status("/planted/bug") == 500
    assert status("/planted/late") is None
    assert status("/planted/half.csv") is None
    with client.stream("GET", "/planted/endless.csv") as answer:
        assert next(answer.iter_bytes()) == b"chunk"
    until(lambda: "the client has left" in "".join(lines(folder)))
    assert status("/planted/aside") == 200
    until(lambda: "library" in "".join(lines(folder)))


def test_every_line_is_an_event_whatever_fails(home: Path, kind: str) -> None:
    with (
        collector() as traces,
        sentry() as reports,
        failing(
            kind, home, OTEL_EXPORTER_OTLP_ENDPOINT=traces.url, SENTRY_DSN=reports.dsn
        ) as client,
    ):
        fail_in_every_way(client, home)
    assert {"GET /planted/bug", "GET /planted/late", "Half", "Endless"} <= {*traces.names()}
    bugs = {event["exception"]["values"][-1]["value"].partition(":")[0] for event in reports.events}
    assert {"bug", "task", "thread", "library"} <= bugs
    assert "shop:hush" not in reports.text + str(traces.spans)
    printed = lines(home)
    events: list[dict[str, Any]] = [json.loads(line) for line in printed]
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)
    for way in ("bug", "late", "callback", "task", "thread", "unraisable", "library", "stop"):
        assert f"Error: {way}: cannot connect to postgresql://shop:********@" in "".join(printed)
    (late,) = (event for event in events if event.get("path") == "/planted/late")
    assert (late["status"], late["level"], "late" in late["reason"]) == (200, "error", True)
    for way in ("late", "stream"):
        told = [json.loads(line)["event"] for line in printed if f"{way}: cannot" in line]
        assert (told.count("request"), {*told} <= {"unhandled error", "request"}) == (1, True)
    assert not [each for each in events if "ASGI" in each["event"]]
    said = " ".join(event["event"] for event in events)
    for words in ("warned of postgresql://shop:********@", "two lines\nof ", "no number: %d"):
        assert words in said
    assert "hush" not in "".join(printed)
    kept = (home / "logs" / "server.log").read_text("utf-8").splitlines()
    assert {json.loads(line)["event"] for line in kept} >= {"request", "server stopped"}
    assert "hush" not in "".join(kept)


@pytest.mark.parametrize("kind", ["granian"])
def test_an_error_at_start_is_logged_as_an_event(home: Path, kind: str) -> None:
    with sentry() as reports, failing(kind, home, CANNOT_START="true", SENTRY_DSN=reports.dsn):
        until(lambda: any(line.endswith("}") for line in lines(home)), lambda: lines(home))
        printed = lines(home)
        until(lambda: reports.events)
    event = json.loads(next(line for line in printed if line.startswith("{")))
    assert event["event"] == "the application cannot be made"
    assert event["reason"].startswith("Error: start: cannot connect to postgresql://shop:********@")
    assert not any(line.startswith(("Traceback", "  File")) for line in printed)
