"""Shows how each server ends, how its workers are replaced, and when it closes connections."""

import os
import re
import signal
from functools import partial

import pytest

from backstay.testing.waiting import LIMIT, until
from tests.cli.conftest import Shared
from tests.cli.process import NEVER, Server, held_login, none_lives, workers
from tests.server.idle import is_idle, needs_proc

PINGS = 30


@pytest.fixture
def patient(shared: Shared) -> Server:
    """A server with two workers and long timeouts."""
    server = shared(
        SERVER_WORKERS="2",
        SERVER_TIMEOUT=NEVER,
        SERVER_DRAIN_SECONDS=NEVER,
        SERVER_GRACEFUL_TIMEOUT=NEVER,
        SERVER_MAX_REQUESTS=NEVER,
    )
    until(lambda: len(workers(server)) >= 2)
    return server


@pytest.fixture
def hasty(shared: Shared) -> Server:
    """A server that closes connections that are idle for one second."""
    return shared(SERVER_TIMEOUT="1")


def test_an_idle_connection_is_closed_after_the_configured_time(
    patient: Server, hasty: Server
) -> None:
    with patient.connect() as control:
        for _ in range(2):
            with hasty.connect() as silent:
                assert silent.recv(1) == b""
        control.setblocking(False)
        with pytest.raises(BlockingIOError):
            control.recv(1)


def test_every_server_says_once_that_it_is_ready(patient: Server, hasty: Server) -> None:
    for server in (patient, hasty):
        until(partial(_says_ready, server))
        assert server.printed.count("Ready") == 1


def _says_ready(server: Server) -> bool:
    return f"\nReady: http://127.0.0.1:{server.port}\n" in server.printed


@needs_proc
def test_idle_supervisors_are_not_woken(patient: Server, kind: str) -> None:
    supervisor = {patient.process.pid}  # the parents of the other two look at their workers
    watching = patient.family() - workers(patient) if kind == "granian" else supervisor
    assert supervisor <= watching
    until(lambda: is_idle(*watching))


def _counted(server: Server) -> float:
    """How many pings the metrics count."""
    text = server.client.get("/metrics").text
    found = re.search(r"requests_total{.*system/ping.*} ([0-9.]+)", text)
    return float(found[1]) if found else 0


def test_metrics_add_up_over_workers(patient: Server) -> None:
    before = _counted(patient)
    for _ in range(PINGS):
        assert patient.ask("/api/v1/system/ping") == 200
    assert _counted(patient) - before == PINGS


def test_a_worker_that_dies_is_replaced(patient: Server) -> None:
    before = workers(patient)
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    assert none_lives(before)
    until(lambda: patient.ask("/livez") == 200)
    assert patient.process.poll() is None


def _closes(server: Server) -> bool:
    """Whether the server closes the connection after its answer."""
    answer = server.client.get("/livez")
    assert answer.status_code == 200
    return bool(answer.headers.get("connection") == "close")


def test_a_draining_server_closes_connections_and_stops_at_second_signal(
    patient: Server,
) -> None:
    family = patient.family()
    assert not _closes(patient)
    with held_login(patient):
        patient.process.send_signal(signal.SIGTERM)
        until(lambda: patient.ask("/readyz") == 503)
        until(lambda: all(_closes(patient) for _ in range(PINGS)))
        patient.process.send_signal(signal.SIGTERM)
        assert patient.process.wait(LIMIT) == 0
    assert none_lives(family)


def test_no_process_survives_a_killed_parent(hasty: Server) -> None:
    family = hasty.family()
    hasty.process.kill()
    hasty.process.wait(LIMIT)
    assert none_lives(family)
