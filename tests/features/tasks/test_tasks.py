"""Shows tasks as users see them: start, follow, cancel and repeat, one's own only."""

from typing import Any

import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.features.tasks.commands import MOST
from backstay.jobs.tables import Job
from backstay.testing import Login, Person
from tests.features.steps import API, execute
from tests.jobs.steps import at_work, becomes, drain
from tests.web.problems import problem

pytestmark = pytest.mark.anyio
TASKS = f"{API}/tasks"


async def start(person: Person, **payload: Any) -> str:
    body = {"task": "demo.count", "payload": {"seconds": 0, **payload}}
    answer = await person.client.post(TASKS, json=body)
    assert answer.status_code == 202, answer.text
    task_id: str = answer.json()["id"]
    assert answer.headers["Location"] == f"{TASKS}/{task_id}"
    return task_id


async def read(person: Person, task_id: str) -> dict[str, Any]:
    answer = await person.client.get(f"{TASKS}/{task_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_task_is_started_followed_and_done(backstay: Backstay, login: Login) -> None:
    ann = await login()
    task_id = await start(ann, steps=4)
    waiting = await read(ann, task_id)
    assert (waiting["state"], waiting["attempts"], waiting["user_id"]) == ("queued", 0, ann.id)
    assert await drain(backstay) == 1
    done = await read(ann, task_id)
    assert (done["state"], done["progress"], done["note"]) == ("succeeded", 100, "4 of 4")
    assert done["result"] == {"steps": 4}
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


async def test_a_task_has_a_tag_that_changes_with_it(backstay: Backstay, login: Login) -> None:
    ann = await login()
    task_id = await start(ann)
    tag = (await ann.client.get(f"{TASKS}/{task_id}")).headers["ETag"]
    headers = {"If-None-Match": tag}
    assert (await ann.client.get(f"{TASKS}/{task_id}", headers=headers)).status_code == 304
    await drain(backstay)
    assert (await ann.client.get(f"{TASKS}/{task_id}", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"task": "demo.nothing"}, "task", "unknown_task"),
        ({"task": "demo.count", "payload": {"steps": 0}}, "payload.steps", "greater_than_equal"),
        ({"task": "demo.count", "payload": {"more": "x"}}, "payload.more", "extra_forbidden"),
        ({"task": "demo.count", "payload": {"seconds": "x"}}, "payload.seconds", "float_parsing"),
        ({"task": "demo.count", "payload": []}, "payload", "dict_type"),
        ({"payload": {}}, "task", "missing"),
    ],
)
async def test_an_invalid_task_is_refused_with_reasons(
    login: Login, body: dict[str, Any], field: str, code: str
) -> None:
    ann = await login()
    answer = await ann.client.post(TASKS, json=body)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == (field, code)


async def test_a_payload_full_of_faults_gets_a_short_answer(login: Login) -> None:
    ann = await login()
    payload = {f"n{number}": 1 for number in range(400)}
    answer = await ann.client.post(TASKS, json={"task": "demo.count", "payload": payload})
    refused = problem(answer, 422, "validation_error")
    assert (refused["detail"], len(refused["errors"])) == ("400 fields are not valid.", 20)
    payload = {f"n{number}": 1 for number in range(20_000)}
    answer = await ann.client.post(TASKS, json={"task": "demo.count", "payload": payload})
    problem(answer, 413, "too_large")


async def test_tasks_of_others_are_not_found(backstay: Backstay, login: Login) -> None:
    ann, ben, admin = await login(), await login(), await login("admin")
    task_id = await start(ann)
    for person, path in ((ben, task_id), (ann, str(new_id()))):
        for method, suffix in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
            answer = await person.client.request(method, f"{TASKS}/{path}{suffix}")
            assert answer.status_code == 404
    assert (await ben.client.get(TASKS)).json()["total"] == 0
    mine = (await ann.client.get(TASKS, params={"state": "queued", "sort": "-created_at"})).json()
    assert [task["id"] for task in mine["items"]] == [task_id]
    assert (await read(admin, task_id))["user_id"] == ann.id
    all_of_ann = await admin.client.get(TASKS, params={"user_id": ann.id})
    assert all_of_ann.json()["total"] == 1


async def test_a_waiting_task_is_cancelled_and_repeated(backstay: Backstay, login: Login) -> None:
    ann = await login()
    task_id = await start(ann, steps=2)
    assert (await ann.client.post(f"{TASKS}/{task_id}/retry")).json()["code"] == "tasks.not_over"
    cancelled = await ann.client.post(f"{TASKS}/{task_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await ann.client.post(f"{TASKS}/{task_id}/cancel")).json()["code"] == "tasks.over"
    assert await drain(backstay) == 0
    again = await ann.client.post(f"{TASKS}/{task_id}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")
    assert await drain(backstay) == 1
    assert (await read(ann, task_id))["result"] == {"steps": 2}


async def test_a_running_task_is_cancelled(backstay: Backstay, login: Login) -> None:
    ann = await login()
    task_id = await start(ann, steps=1, seconds=300)
    (job_id,) = (await execute(backstay, Job.__table__.select())).scalars()
    async with at_work(backstay):
        await becomes(backstay, job_id, "running")
        answer = await ann.client.post(f"{TASKS}/{task_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "running")
        await becomes(backstay, job_id, "cancelled")
    assert (await read(ann, task_id))["result"] is None


async def test_a_task_cancelled_while_its_worker_died_is_not_run(
    backstay: Backstay, login: Login
) -> None:
    ann = await login()
    task_id = await start(ann)
    dead = update(Job).values(state="running", attempts=1)
    await execute(backstay, dead)
    await ann.client.post(f"{TASKS}/{task_id}/cancel")
    await drain(backstay)
    assert (await read(ann, task_id))["state"] == "cancelled"


async def test_a_failed_task_says_why_and_is_repeated(backstay: Backstay, login: Login) -> None:
    ann = await login()
    task_id = await start(ann)
    await execute(backstay, update(Job).values(payload='{"steps": 0}', max_attempts=1))
    await drain(backstay)
    failed = await read(ann, task_id)
    assert (failed["state"], failed["error_code"]) == ("failed", "internal_error")
    assert "ValidationError" in failed["error"]
    await execute(backstay, update(Job).values(payload='{"seconds": 0}'))
    assert (await ann.client.post(f"{TASKS}/{task_id}/retry")).status_code == 200
    await drain(backstay)
    done = await read(ann, task_id)
    assert (done["state"], done["attempts"], done["error"]) == ("succeeded", 2, None)


async def test_a_unique_task_is_not_repeated_beside_an_unfinished_one(
    backstay: Backstay, login: Login
) -> None:
    ann = await login()
    over = await start(ann)
    await ann.client.post(f"{TASKS}/{over}/cancel")
    await start(ann)
    await execute(backstay, update(Job).values(unique_key="only"))
    answer = await ann.client.post(f"{TASKS}/{over}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "jobs.not_unique")


async def test_nobody_has_more_than_so_many_unfinished_tasks(
    backstay: Backstay, login: Login
) -> None:
    for person in (await login(), await login("admin")):
        tasks = [await start(person) for _ in range(MOST)]
        answer = await person.client.post(TASKS, json={"task": "demo.count"})
        problem(answer, 429, "tasks.too_many")
        assert int(answer.headers["Retry-After"]) > 0
        await start(await login())
        await person.client.post(f"{TASKS}/{tasks[0]}/cancel")
        await start(person)
        again = await person.client.post(f"{TASKS}/{tasks[0]}/retry")
        problem(again, 429, "tasks.too_many")
        await drain(backstay)
        await start(person)


async def test_tasks_wait_in_a_queue_of_their_own(backstay: Backstay, login: Login) -> None:
    ann = await login()
    assert (await read(ann, await start(ann)))["queue"] == "tasks"


async def test_other_jobs_in_ones_name_are_for_administrators_only(
    backstay: Backstay, login: Login
) -> None:
    ann, admin = await login(), await login("admin")
    job_id = await start(ann)
    await execute(backstay, update(Job).values(queue="default"))
    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        path = f"{TASKS}/{job_id}{suffix}"
        problem(await ann.client.request(method, path), 404, "not_found")
    assert (await ann.client.get(TASKS)).json()["items"] == []
    assert (await ann.client.get(f"{API}/users/me/export")).json()["data"]["tasks"] == []
    assert (await read(admin, job_id))["state"] == "queued"
    assert (await admin.client.post(f"{TASKS}/{job_id}/cancel")).status_code == 200


async def test_an_export_holds_ones_own_tasks(backstay: Backstay, login: Login) -> None:
    ann, ben = await login(), await login()
    done, _ = await start(ann, steps=2), await start(ben)
    await drain(backstay)
    (told,) = (await ann.client.get(f"{API}/users/me/export")).json()["data"]["tasks"]
    assert (told["id"], told["state"], told["result"]) == (done, "succeeded", {"steps": 2})
    assert told["payload"] == {"steps": 2, "seconds": 0}
    assert told["address"] == "192.0.2.1"


async def test_strangers_start_nothing(client: Any) -> None:
    assert (await client.post(TASKS, json={"task": "demo.count"})).status_code == 401
