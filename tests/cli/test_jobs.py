"""Shows what operators see of jobs, whatever their kind, and how they repeat and cancel them."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select

from backstay.composition import Backstay, compose
from backstay.core.clock import new_id
from backstay.db.activity import Activity
from backstay.features.users.commands.accounts import RegisterUser
from backstay.jobs.tables import Job
from backstay.testing import PASSWORD, settings_with
from tests.cli.conftest import Call
from tests.features.steps import execute

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
Store = Callable[..., UUID]


def look(home: Path, statement: Any) -> list[Any]:
    """The rows of a statement, which may also write."""

    async def run() -> list[Any]:
        backstay = compose(settings_with(f"sqlite:///{home}/backstay.db", home))
        found = await execute(backstay, statement)
        rows = list(found.all()) if found.returns_rows else []
        await backstay.close()
        return rows

    return asyncio.run(run())


@pytest.fixture
def store(home: Path) -> Store:
    """Stores a job in this state and returns its id."""

    def stored(state: str, **values: Any) -> UUID:
        is_over = state in {"succeeded", "failed", "cancelled"}
        row = {
            "id": new_id(), "position": 1, "name": "PurgeJobs", "payload": "{}", "queue": "default",
            "state": state, "attempts": 3, "max_attempts": 3, "actor": "system", "request_id": "r",
            "address": "", "traceparent": "", "is_cancelled": False, "created_at": NOW,
            "due_at": NOW, "finished_at": NOW if is_over else None,
        }  # fmt: skip
        look(home, insert(Job).values(row | values))
        return UUID(str((row | values)["id"]))

    return stored


def states(home: Path) -> dict[UUID, str]:
    return {row[0]: row[1] for row in look(home, select(Job.id, Job.state))}


def test_jobs_of_every_kind_are_listed_and_filtered(call: Call, home: Path, store: Store) -> None:
    assert call("jobs", "list").output == "No jobs.\n"
    failed = store("failed", error_code="mail.not_sent", queue="mail", name="SendMail")
    queued = store("queued")
    shown = call("jobs", "list")
    assert shown.code == 0, shown.errors
    _, newest, oldest = shown.output.splitlines()
    assert newest.split()[:2] == [str(queued), "queued"]
    assert oldest.split()[:2] == [str(failed), "failed"]
    assert oldest.endswith("mail.not_sent")
    for option in (["--state", "failed"], ["--name", "SendMail"], ["--queue", "mail"]):
        (job,) = json.loads(call("jobs", "list", *option, "--json").output)
        assert (job["id"], job["attempts"]) == (str(failed), 3)
    limited = call("jobs", "list", "--limit", "1")
    assert "There are more than 1: see them with --limit." in limited.errors
    assert call("jobs", "list", "--state", "dead").code == 2


def test_jobs_of_a_user_are_found_by_email(call: Call, home: Path, store: Store) -> None:
    async def register(backstay: Backstay) -> UUID:
        user = await backstay.system(RegisterUser(email="ann@example.org", password=PASSWORD))
        await backstay.close()
        return user.id

    ann = asyncio.run(register(compose(settings_with(f"sqlite:///{home}/backstay.db", home))))
    job = store("queued", user_id=ann)
    store("queued")
    for user in ("Ann@Example.org", str(ann)):
        listed = json.loads(call("jobs", "list", "--user", user, "--json").output)
        assert str(job) in [each["id"] for each in listed]
        assert {each["user_id"] for each in listed} == {str(ann)}
    nobody = call("jobs", "list", "--user", "ben@example.org")
    assert (nobody.code, nobody.errors) == (1, "There is no user ben@example.org.\n")


def test_a_shown_job_hides_secrets_of_its_payload(call: Call, store: Store) -> None:
    payload = {
        "to": "x",
        "api_key": "hunter2",
        "deep": [{"password": "hunter2"}],
        "text": "https://ann:hunter2@host",
    }
    job = store("failed", payload=json.dumps(payload), error="It was refused.", result={"token": 7})
    shown = call("jobs", "show", str(job))
    assert shown.code == 0, shown.errors
    assert "It was refused." in shown.output
    assert "2026-11-01 12:00:00Z" in shown.output
    told = json.loads(call("jobs", "show", str(job), "--json").output)
    assert told["payload"]["to"] == "x"
    assert "hunter2" not in shown.output + json.dumps(told)
    assert told["result"] == {"token": "********"}
    missing = uuid4()
    assert call("jobs", "show", str(missing)).errors == f"There is no job {missing}.\n"


def test_a_shown_job_is_told_in_words(call: Call, store: Store) -> None:
    waiting = call("jobs", "show", str(store("queued"))).output
    assert re.search(r"^due  +2026-11-01 12:00:00Z$", waiting, re.MULTILINE)
    assert re.search(r"^attempts that do not count  +0$", waiting, re.MULTILINE)
    assert re.search(r"^asked to stop  +false$", waiting, re.MULTILINE)
    assert "_" not in waiting
    held = call("jobs", "show", str(store("running"))).output
    assert re.search(r"^lease until  +2026-11-01 12:00:00Z$", held, re.MULTILINE)


def test_retried_jobs_are_queued_and_audited(call: Call, home: Path, store: Store) -> None:
    failed, done = store("failed"), store("succeeded")
    result = call("jobs", "retry", str(failed), str(done), "--yes")
    assert result.code == 1
    assert result.output == f"{failed}  runs again\n"
    assert str(done) in result.errors
    assert states(home) == {failed: "queued", done: "succeeded"}
    rows = look(
        home, select(Activity.targets, Activity.outcome).where(Activity.message == "RetryJob")
    )
    assert rows == [({"id": str(failed)}, "ok"), ({"id": str(done)}, "refused")]
    assert call("worker", "--drain").output == "Ran 1 jobs.\n"


def test_all_dead_jobs_are_retried_once_confirmed(call: Call, home: Path, store: Store) -> None:
    for queue in ("mail", "mail", "default"):
        store("failed", queue=queue)
    cancelled = store("cancelled")
    asked = call("jobs", "retry", "--dead")
    assert asked.code == 2
    assert "Run again 3 jobs?" in asked.errors
    assert call("jobs", "retry", "--dead", "--queue", "mail", "--yes").code == 0
    assert sorted(states(home).values()) == ["cancelled", "failed", "queued", "queued"]
    assert call("jobs", "retry", "--dead").code == 0
    assert states(home)[cancelled] == "cancelled"
    assert call("jobs", "retry").code == 2
    assert call("jobs", "retry", str(cancelled), "--queue", "mail").code == 2


def test_waiting_jobs_are_cancelled_and_running_ones_asked(
    call: Call, home: Path, store: Store
) -> None:
    queued, running = store("queued"), store("running")
    result = call("jobs", "cancel", str(queued), str(running), "--yes")
    assert result.code == 0, result.errors
    assert result.output.splitlines() == [
        f"{queued}  cancelled",
        f"{running}  runs; it is asked to stop",
    ]
    assert states(home) == {queued: "cancelled", running: "running"}
    assert "running (stops)" in call("jobs", "list").output
    again = call("jobs", "cancel", str(queued))
    assert (again.code, again.errors) == (1, f"{queued}  It is cancelled already.\n")
    assert call("jobs", "cancel").code == 2
