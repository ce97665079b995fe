"""Shows the command that runs jobs, and the server that runs them by itself in `local`."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backstay.composition import compose
from backstay.core.context import Sender
from backstay.features.auth.queries.principals import GetPrincipalOfUser
from backstay.features.tasks.commands import StartTask
from backstay.features.users.queries.accounts import FindAccount
from backstay.jobs.tables import Job
from backstay.testing import ADMIN_EMAIL, PASSWORD, settings_with
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, NEVER, WELL, Process, environ, serving, start
from tests.features.steps import bearer, execute, needs

pytestmark = needs("tasks")

LONG = 300
"""Seconds: the longest duration of a demo task."""


def enqueue(folder: Path, seconds: float) -> None:
    """Store a task of the administrator in the database of the folder."""

    async def store() -> None:
        backstay = compose(settings_with(f"sqlite:///{folder}/backstay.db", folder))
        account = await backstay.system(FindAccount(login=ADMIN_EMAIL))
        assert account is not None
        admin = await backstay.system(GetPrincipalOfUser(user_id=account.id))
        assert admin is not None
        task = StartTask(task="demo.count", payload={"seconds": seconds})
        await Sender(backstay.bus.send, admin)(task)
        await backstay.close()

    asyncio.run(store())


def state(folder: Path) -> str:
    """The state of the task that was stored last."""

    async def look() -> str:
        backstay = compose(settings_with(f"sqlite:///{folder}/backstay.db", folder))
        tasks = Job.__table__.select().where(Job.name == "CountDemo").order_by(Job.id.desc())
        row = (await execute(backstay, tasks)).first()
        await backstay.close()
        assert row is not None
        return str(row.state)

    return asyncio.run(look())


def becomes(folder: Path, expected: str) -> None:
    until(lambda: state(folder) == expected, lambda: state(folder))


@contextmanager
def started(folder: Path, *options: str, **variables: str) -> Iterator[Process]:
    """A running worker process, which is killed if the test fails."""
    process = start(folder, [*COMMAND, "worker", *options], environ(**variables))
    try:
        until(lambda: printed(folder) == "The worker runs jobs.\n")
        yield process
    finally:
        process.kill()
        process.wait(LIMIT)


def printed(folder: Path) -> str:
    return (folder / "out").read_text("utf-8")


def test_a_worker_runs_the_stored_jobs_and_ends(home: Path, call: Call) -> None:
    enqueue(home, seconds=0)
    done = call("worker", "--drain", LOG_DIR="")
    assert (done.code, done.output) == (0, "Ran 1 jobs.\n")
    assert state(home) == "succeeded"


@pytest.mark.parametrize(
    ("grace", "seconds", "expected"), [(NEVER, 2, "succeeded"), ("0", LONG, "queued")]
)
def test_a_stopping_worker_finishes_its_job_or_releases_it(
    home: Path, grace: str, seconds: float, expected: str
) -> None:
    enqueue(home, seconds)
    with started(home, SERVER_GRACEFUL_TIMEOUT=grace) as process:
        becomes(home, "running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert printed(home) == "The worker runs jobs.\nThe worker has stopped.\n"
    assert state(home) == expected


def test_a_worker_serves_its_metrics_to_holders_of_the_token(home: Path, call: Call) -> None:
    enqueue(home, seconds=0)
    port, token = free_port(), "t" * 32
    with started(home, "--port", str(port), APP_METRICS_TOKEN=token) as process:
        becomes(home, "succeeded")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as client:
            assert client.get("/livez").status_code == 200
            until(lambda: client.get("/readyz").status_code == 200)
            until(lambda: client.get("/health").json()["status"] == WELL)
            assert client.get("/metrics").status_code == 401
            metrics = client.get("/metrics", headers=bearer(token)).text
            assert client.get("/api/v1/users/me").status_code == 404
        assert 'backstay_job_runs_total{job="CountDemo",outcome="succeeded"} 1.0' in metrics
        taken = call("worker", "--drain", "--port", str(port), LOG_DIR="")
        assert (taken.code, taken.output) == (1, "")
        assert f"Port {port} of 127.0.0.1 is in use." in taken.errors
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0


def test_a_queue_without_a_name_is_refused(call: Call) -> None:
    refused = call("worker", "--queues", "mail,")
    assert refused.code == 2
    assert "Name each queue" in refused.errors


def test_in_local_the_server_runs_jobs_and_releases_late_ones(
    home: Path,
) -> None:
    with serving(home, SERVER_GRACEFUL_TIMEOUT="1") as server:
        body = {"email": ADMIN_EMAIL, "password": PASSWORD}
        token = server.client.post("/api/v1/auth/login", json=body).json()["access_token"]
        server.client.headers.update(bearer(token))

        def start(**payload: float) -> str:
            task = {"task": "demo.count", "payload": payload}
            return server.client.post("/api/v1/tasks", json=task).headers["Location"]

        def found(path: str) -> dict[str, Any]:
            answer: dict[str, Any] = server.client.get(path).json()
            return answer

        counted = start(steps=3, seconds=0.1)
        until(lambda: found(counted)["state"] == "succeeded", lambda: found(counted))
        assert found(counted)["result"] == {"steps": 3}
        until(lambda: server.client.get("/health").json()["checks"]["queue"] == "ok")
        metrics = server.client.get("/metrics").text
        assert 'backstay_job_runs_total{job="CountDemo",outcome="succeeded"} 1.0' in metrics
        endless = start(seconds=LONG)
        until(lambda: found(endless)["state"] == "running", lambda: found(endless))
        assert server.stop(signal.SIGTERM) == 0
    assert state(home) == "queued"
