"""Each server is drained before it stops, finishes what runs, and leaves nobody behind."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.process import PATIENCE, Server, none_lives, serving, workers

WRONG = {"email": "nobody@example.org", "password": "not the password"}
FAILURES_BEFORE_DELAY = 20


@pytest.fixture
def server(kind: str, tmp_path: Path) -> Iterator[Server]:
    variables = {
        "SERVER_TYPE": kind,
        "SERVER_WORKERS": "2",
        "SERVER_DRAIN_SECONDS": "1",
        "SERVER_GRACEFUL_TIMEOUT": "5",
        "SECURITY_LOGIN_RATE_LIMIT": "1000/second",
        "SERVER_LOG": "false",
    }
    with serving(tmp_path, **variables) as running:
        yield running


def _answers(server: Server, path: str, status: int) -> bool:
    """Whether a path comes to answer so; a new connection each time, for another worker."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.client.base_url}{path}").status_code == status:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False


def _slow_login(server: Server) -> tuple[threading.Thread, list[int]]:
    """A request that takes seconds: a login of an account with many failures behind it."""
    with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE) as client:
        for _ in range(2 * FAILURES_BEFORE_DELAY):
            started = time.monotonic()
            client.post("/api/v1/auth/login", json=WRONG)
            if time.monotonic() - started > 1.5:
                break
        else:
            raise AssertionError("no login became slow")
    answers: list[int] = []

    def ask() -> None:
        while not answers:  # until one is in a worker that knows of the failures
            started = time.monotonic()
            answer = httpx.post(
                f"{server.client.base_url}/api/v1/auth/login", json=WRONG, timeout=PATIENCE
            )
            if time.monotonic() - started > 1.5:
                answers.append(answer.status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    return thread, answers


def test_a_stop_drains_finishes_what_runs_and_leaves_nobody(server: Server) -> None:
    family = server.family()
    thread, answers = _slow_login(server)
    server.process.send_signal(signal.SIGTERM)
    assert _answers(server, "/readyz", 503)
    assert httpx.get(f"{server.client.base_url}/livez").status_code == 200
    assert server.process.wait(PATIENCE) == 0
    thread.join(PATIENCE)
    assert answers == [401]
    assert none_lives(family)


def test_a_second_signal_stops_at_once(kind: str, tmp_path: Path) -> None:
    with serving(tmp_path, SERVER_TYPE=kind, SERVER_DRAIN_SECONDS="60") as server:
        family = server.family()
        server.process.send_signal(signal.SIGTERM)
        assert _answers(server, "/readyz", 503)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - started < 5  # instead of the minute that draining takes
        assert none_lives(family)


def test_a_draining_server_closes_each_connection_after_its_answer(
    kind: str, tmp_path: Path
) -> None:
    with serving(tmp_path, SERVER_TYPE=kind, SERVER_DRAIN_SECONDS="60") as server:
        assert "connection" not in server.client.get("/livez").headers
        server.process.send_signal(signal.SIGTERM)
        assert _answers(server, "/readyz", 503)
        time.sleep(0.2)
        answer = server.client.get("/livez")
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        server.stop(signal.SIGTERM)


def test_nobody_survives_a_killed_parent(server: Server) -> None:
    family = server.family()
    server.process.kill()
    server.process.wait(PATIENCE)
    assert none_lives(family)


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    before = workers(server)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    assert none_lives(before)
    assert _answers(server, "/livez", 200)
    assert server.process.poll() is None


def test_metrics_add_up_over_workers(server: Server) -> None:
    for _ in range(30):
        httpx.get(f"{server.client.base_url}/api/v1/system/ping")
    text = httpx.get(f"{server.client.base_url}/metrics").text
    counted = re.search(r"requests_total{.*system/ping.*} ([0-9.]+)", text)
    assert counted is not None
    assert float(counted[1]) == 30
