"""Shows the command that runs jobs, and the server that runs them by itself in `local`."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backstay.composition import compose, seed
from backstay.core.bus import Sender
from backstay.core.worker import GetPrincipalOfUser
from backstay.db import migrate
from backstay.db.jobs import Job
from backstay.features.tasks.commands import StartTask
from backstay.features.users.queries.accounts import FindAccount
from backstay.settings import load_settings
from tests.cli.conftest import Call
from tests.cli.process import COMMAND, PATIENCE, environ, free_port, run, serving
from tests.conftest import ADMIN_EMAIL, PASSWORD
from tests.features.steps import execute, needs

pytestmark = [pytest.mark.anyio, needs("tasks")]

ADMIN = {"ADMIN_PASSWORD": PASSWORD, "ADMIN_EMAIL": ADMIN_EMAIL}


async def enqueue(folder: Path, **payload: Any) -> None:
    """A task of the administrator, in the database of the folder."""
    url = f"sqlite:///{folder}/backstay.db"
    backstay = compose(load_settings({"DB_URL": url, **ADMIN}, folder))
    await migrate.upgrade(backstay.database.options)
    await seed(backstay)
    account = await backstay.system(FindAccount(login=ADMIN_EMAIL))
    assert account is not None
    admin = await backstay.system(GetPrincipalOfUser(user_id=account.id))
    assert admin is not None
    await Sender(backstay.buses, admin)(StartTask(task="demo.count", payload=payload))
    await backstay.close()


async def state(folder: Path) -> str:
    """The state of the one task."""
    backstay = compose(load_settings({"DB_URL": f"sqlite:///{folder}/backstay.db"}, folder))
    rows = await execute(backstay, Job.__table__.select().where(Job.name == "CountDemo"))
    (row,) = rows.all()
    await backstay.close()
    return str(row.state)


async def test_a_worker_runs_what_there_is_and_ends(tmp_path: Path) -> None:
    await enqueue(tmp_path, seconds=0)
    done = run(tmp_path, "worker", "--drain")
    assert (done.code, done.output) == (0, "Ran 1 jobs.\n")
    assert await state(tmp_path) == "succeeded"


@pytest.mark.parametrize(("grace", "expected"), [("20", "succeeded"), ("0", "queued")])
async def test_a_worker_that_is_told_to_stop_finishes_or_gives_back(
    tmp_path: Path, grace: str, expected: str
) -> None:
    await enqueue(tmp_path, seconds=3)
    with started(tmp_path, SERVER_GRACEFUL_TIMEOUT=grace) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "The worker runs jobs.\n"
        await becomes(tmp_path, "running")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == "The worker has stopped.\n"
    assert await state(tmp_path) == expected


async def test_a_worker_shows_its_own_metrics_to_whoever_may_read_them(tmp_path: Path) -> None:
    await enqueue(tmp_path, seconds=0)
    port, token = free_port(), "t" * 32
    with started(tmp_path, "--port", str(port), APP_METRICS_TOKEN=token) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "The worker runs jobs.\n"
        await becomes(tmp_path, "succeeded")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/health")).json()["status"] == "ok"
            assert (await client.get("/metrics")).status_code == 401
            held = {"Authorization": f"Bearer {token}"}
            metrics = (await client.get("/metrics", headers=held)).text
            assert (await client.get("/api/v1/users/me")).status_code == 404
        assert 'backstay_job_runs_total{job="CountDemo",outcome="succeeded"} 1.0' in metrics
        taken = run(tmp_path, "worker", "--drain", "--port", str(port))
        assert (taken.code, taken.output) == (1, "")
        assert f"Port {port} of 127.0.0.1 is in use." in taken.errors
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@contextmanager
def started(folder: Path, *options: str, **variables: str) -> "Iterator[subprocess.Popen[str]]":
    """A worker, which does not outlive a test that fails."""
    process = subprocess.Popen(
        [*COMMAND, "worker", *options],
        cwd=folder,
        env=environ(**variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


async def becomes(folder: Path, expected: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := await state(folder)) != expected:
        assert time.monotonic() < deadline, found


def test_a_queue_without_a_name_is_refused(call: Call) -> None:
    refused = call("worker", "--queues", "mail,")
    assert refused.code == 2
    assert "Name each queue" in refused.errors


def test_in_local_the_server_runs_jobs(tmp_path: Path) -> None:
    with serving(tmp_path, **ADMIN) as server:
        body = {"email": ADMIN_EMAIL, "password": PASSWORD}
        token = server.client.post("/api/v1/auth/login", json=body).json()["access_token"]
        server.client.headers["Authorization"] = f"Bearer {token}"
        task = {"task": "demo.count", "payload": {"steps": 3, "seconds": 0.1}}
        path = server.client.post("/api/v1/tasks", json=task).headers["Location"]
        found = until(lambda: server.client.get(path).json(), "succeeded")
        assert found["result"] == {"steps": 3}
        health = server.client.get("/health").json()
        assert health["checks"]["queue"] == "ok"
        metrics = server.client.get("/metrics").text
        assert 'backstay_job_runs_total{job="CountDemo",outcome="succeeded"} 1.0' in metrics


async def test_a_server_gives_back_jobs_that_do_not_end_in_time(tmp_path: Path) -> None:
    await enqueue(tmp_path, seconds=60)
    with serving(tmp_path, SERVER_GRACEFUL_TIMEOUT="1", **ADMIN) as server:
        await becomes(tmp_path, "running")
        assert server.stop(signal.SIGTERM) == 0
    assert await state(tmp_path) == "queued"


def until(ask: Callable[[], dict[str, Any]], expected: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while (found := ask())["state"] != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found
