"""Shows jobs of every kind over HTTP: who sees them, without their texts, and who changes them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text

from backstay.composition import Backstay
from backstay.core.clock import new_id, utc_now
from backstay.core.jobs import JobState
from backstay.core.listing import Equals
from backstay.core.permissions import Scope
from backstay.features.system.queries import jobs
from backstay.features.system.queries.jobs import ListJobs
from backstay.jobs.tables import Job
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.plans import plan_of
from tests.features.steps import API, execute
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True),
]
JOBS = f"{API}/system/jobs"
PERMISSIONS = ("jobs:list", "jobs:read", "jobs:retry", "jobs:cancel")


async def store(backstay: Backstay, state: str, count: int = 1, **values: Any) -> str:
    """Store jobs in a state; the id of the last."""
    now = utc_now() - timedelta(minutes=1)
    is_over = state in {"succeeded", "failed", "cancelled"}
    row = {
        "name": "PurgeJobs", "payload": "{}", "queue": "default", "state": state, "attempts": 1,
        "max_attempts": 30, "actor": "system", "request_id": "", "address": "", "traceparent": "",
        "is_cancelled": False, "created_at": now, "due_at": now,
        "finished_at": now if is_over else None, **values,
    }  # fmt: skip
    rows = [{**row, "id": new_id(), "position": number} for number in range(count)]
    async with backstay.database.writer.begin() as connection:
        await connection.execute(insert(Job), rows)
    return str(rows[-1]["id"])


async def found(person: Person, path: str = JOBS, **query: str) -> list[dict[str, Any]]:
    answer = await person.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
async def operator(backstay: Backstay, login: Login) -> Person:
    person = await login()
    await grant(backstay, person.id, PERMISSIONS[0], Scope.ANY, *PERMISSIONS[1:])
    return person


async def test_jobs_of_every_kind_are_listed_and_filtered(
    backstay: Backstay, operator: Person
) -> None:
    failed = await store(backstay, "failed", queue="mail", name="SendMail", error_code="mail.off")
    done = await store(backstay, "succeeded", queue="elsewhere")
    queries: Mapping[str, Mapping[str, str]] = {
        failed: {"error_code": "mail.off"},
        done: {"state": "succeeded", "queue__in": "elsewhere,nowhere"},
    }
    for job_id, query in queries.items():
        assert [job["id"] for job in await found(operator, **query)] == [job_id]
    for query in ({"state": "failed"}, {"name": "SendMail", "state": "failed", "limit": "1"}):
        assert [job["id"] for job in await found(operator, **query)] == [failed]


async def test_a_job_tells_ids_and_numbers_but_no_texts(
    backstay: Backstay, operator: Person
) -> None:
    about = str(new_id())
    payload = f'{{"user_id": "{about}", "to": "ann@example.org", "more": [{{"n": 7, "ok": true}}]}}'
    job_id = await store(backstay, "failed", payload=payload, error="It was refused.")
    answer = await operator.client.get(f"{JOBS}/{job_id}")
    assert answer.status_code == 200
    shown = answer.json()
    more = [{"n": 7, "ok": True}]
    assert shown["payload"] == {"user_id": about, "to": "********", "more": more}
    assert shown["error"] == "It was refused."
    assert "ann@example.org" not in answer.text


async def test_an_operator_repeats_and_cancels_jobs(backstay: Backstay, operator: Person) -> None:
    job_id = await store(backstay, "failed")
    again = await operator.client.post(f"{JOBS}/{job_id}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    problem(await operator.client.post(f"{JOBS}/{job_id}/retry"), 409, "jobs.not_over")
    stopped = await operator.client.post(f"{JOBS}/{job_id}/cancel")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
    problem(await operator.client.post(f"{JOBS}/{job_id}/cancel"), 409, "jobs.over")
    problem(await operator.client.post(f"{JOBS}/{new_id()}/retry"), 404, "not_found")


async def test_own_scope_reaches_own_tasks_alone(backstay: Backstay, login: Login) -> None:
    ann, ben = await login(), await login()
    await grant(backstay, ann.id, PERMISSIONS[0], Scope.OWN, *PERMISSIONS[1:])
    mine = await store(backstay, "failed", queue="tasks", user_id=UUID(ann.id))
    others = [
        await store(backstay, "failed", user_id=UUID(ann.id)),  # it runs on her behalf
        await store(backstay, "failed", queue="tasks", user_id=UUID(ben.id)),
        await store(backstay, "failed", queue="tasks"),
    ]
    for query in ({}, {"state": "failed"}):
        assert [job["id"] for job in await found(ann, **query)] == [mine]
    for job_id in others:
        problem(await ann.client.get(f"{JOBS}/{job_id}"), 404)
        for act in ("retry", "cancel"):
            problem(await ann.client.post(f"{JOBS}/{job_id}/{act}"), 404)
    assert (await ann.client.post(f"{JOBS}/{mine}/retry")).status_code == 200
    for path in ("queues", "schedule"):
        problem(await ann.client.get(f"{API}/system/{path}"), 403, "forbidden")
        problem(await ben.client.get(f"{API}/system/{path}"), 403, "forbidden")


async def test_queues_tell_what_waits_runs_and_failed(backstay: Backstay, operator: Person) -> None:
    later = utc_now() + timedelta(hours=1)
    await store(backstay, "queued", 2, queue="mine")
    await store(backstay, "queued", queue="mine", due_at=later)
    await store(backstay, "running", queue="mine", due_at=later)
    await store(backstay, "failed", 3, queue="mine")
    await store(backstay, "cancelled", queue="mine")
    answer = (await operator.client.get(f"{API}/system/queues")).json()
    queues = {each.pop("name"): each for each in answer["items"]}
    oldest = queues["mine"].pop("oldest_due_at")
    assert oldest < utc_now().isoformat()
    assert queues["mine"] == {"waiting": 3, "due": 2, "running": 1, "failed": 3}
    empty = {"waiting": 0, "due": 0, "oldest_due_at": None, "running": 0, "failed": 0}
    assert queues["tasks"] == empty
    assert (answer["more_waiting"], answer["more_failed"]) == (False, False)


async def test_the_schedule_tells_its_slots(backstay: Backstay, operator: Person) -> None:
    before = {each["name"]: each for each in await found(operator, f"{API}/system/schedule")}
    never = before["PurgeJobs"]
    assert (never["when"], never["command"], never["last_slot"]) == ("every 1h", "PurgeJobs", None)
    assert never["next_slot"] <= utc_now().isoformat()
    slot = (utc_now() - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    await backstay.worker_context.outbox.store.see("PurgeJobs", slot)
    after = {each["name"]: each for each in await found(operator, f"{API}/system/schedule")}
    assert after["PurgeJobs"]["last_slot"] == slot.isoformat().replace("+00:00", "Z")
    overdue = (slot + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert after["PurgeJobs"]["next_slot"] == overdue


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_dead_jobs_among_many_are_found_by_an_index(backstay: Backstay, state: str) -> None:
    await store(backstay, "succeeded", 20_000)
    await store(backstay, state, 3)
    await execute(backstay, text("ANALYZE"))
    asked = ListJobs(state=Equals[JobState](eq=JobState(state)), limit=20)
    plan = await plan_of(backstay, asked)
    assert "ix_jobs_dead" in plan
    assert "b-tree" not in plan


async def test_of_a_long_backlog_the_first_jobs_are_counted(
    backstay: Backstay, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(backstay, "queued", 12, queue="mine")
    await store(backstay, "failed", 11, queue="mine")
    answer = (await operator.client.get(f"{API}/system/queues")).json()
    assert (answer["more_waiting"], answer["more_failed"]) == (False, False)
    monkeypatch.setattr(jobs, "MOST_COUNTED", 10)
    answer = (await operator.client.get(f"{API}/system/queues")).json()
    assert (answer["more_waiting"], answer["more_failed"]) == (True, True)
    (mine,) = [each for each in answer["items"] if each["name"] == "mine"]
    assert (mine["waiting"], mine["failed"]) == (11, 11)
