"""Shows that a bulk action sends one command for each id, each with a result of its own."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.db.base import SecondsFromNow
from backstay.features.items.model import Item
from backstay.features.system.commands.bulk import MOST_IDS, MOST_ROWS
from backstay.features.system.commands.purging import PurgeJobs
from backstay.jobs.tables import Job
from backstay.testing import FrozenClock, Login, Person
from backstay.testing.people import PASSWORD
from tests.features.steps import API, Trail, execute, needs, said
from tests.features.system.bulk_steps import BULK, hold, items_of, left, read, start, states
from tests.jobs.steps import drain, drain_again
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]


@pytest.fixture
def login(login: Login, backstay: Backstay) -> Login:
    """The same, and the jobs that a new user causes are done."""

    async def sign_in(role: str = "user") -> Person:
        person = await login(role)
        await drain(backstay)
        return person

    return sign_in


async def test_each_id_is_done_and_told(backstay: Backstay, login: Login, trail: Trail) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 3)
    bulk_id = await start(ann, "delete_item", ids[:2])
    waiting = await read(ann, bulk_id)
    assert (waiting["operation"], waiting["is_over"]) == ("delete_item", False)
    assert (waiting["rows"], waiting["done"], states(waiting)) == (2, 0, {"queued": 2})
    await trail()
    assert await drain(backstay) == 2
    done = await read(ann, bulk_id)
    assert (done["done"], done["is_over"], states(done)) == (2, True, {"succeeded": 2})
    assert [row["id"] for row in done["results"]] == ids[:2]
    assert all(row["finished_at"] and row["error"] is None for row in done["results"])
    assert await left(backstay) == 1
    rows = await trail()
    assert said(rows) == [("DeleteItem", "ok", None)] * 2
    assert {str(row.user_id) for row in rows} == {ann.id}


async def test_the_body_is_the_same_for_each(backstay: Backstay, login: Login) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 2)
    await start(ann, "update_item", ids, title="a mast")
    await drain(backstay)
    titles = (await execute(backstay, select(Item.title))).scalars().all()
    assert titles == ["a mast", "a mast"]
    await start(ann, "delete_item", ids, hard=True)
    await drain(backstay)
    assert (await execute(backstay, select(Item.id))).all() == []


async def test_a_row_that_fails_stops_no_other(backstay: Backstay, login: Login) -> None:
    ann, ben = await login(), await login()
    (mine, last), (other,) = await items_of(backstay, ann, 2), await items_of(backstay, ben, 1)
    gone = str(new_id())
    bulk_id = await start(ann, "delete_item", [other, mine, gone, last])
    await drain(backstay)
    found = await read(ann, bulk_id)
    assert states(found) == {"succeeded": 2, "failed": 2}
    told = [(row["id"], row["error_code"]) for row in found["results"]]
    assert told == [(other, "not_found"), (mine, None), (gone, "not_found"), (last, None)]
    assert await left(backstay) == 1
    failed = await read(ann, bulk_id, state="failed")
    assert [row["id"] for row in failed["results"]] == [other, gone]
    assert states(failed) == states(found)
    assert {row["error"] for row in failed["results"]} == {"Not found"}


@needs("tiers")
async def test_a_conflict_of_a_row_is_its_end(backstay: Backstay, login: Login) -> None:
    admin = await login("admin")
    for name in ("gold", "silver"):
        answer = await admin.client.post(f"{API}/tiers", json={"name": name})
        assert answer.status_code == 201
    bulk_id = await start(admin, "delete_tier", ["gold", "free", "silver"])
    await drain(backstay)
    found = await read(admin, bulk_id)
    assert (found["is_over"], states(found)) == (True, {"succeeded": 2, "failed": 1})
    assert found["results"][1]["error_code"] in {"tiers.in_use", "tiers.protected"}


async def test_rows_are_done_one_after_the_other(backstay: Backstay, login: Login) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 3)
    bulk_id = await start(ann, "delete_item", ids)
    await hold(backstay, ids[1])
    assert await drain(backstay) == 1
    assert states(await read(ann, bulk_id)) == {"succeeded": 1, "queued": 2}
    assert await drain_again(backstay) == 2
    assert states(await read(ann, bulk_id)) == {"succeeded": 3}


async def test_a_row_that_may_succeed_later_is_tried_thrice(
    backstay: Backstay, login: Login
) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 2)
    bulk_id = await start(ann, "delete_item", ids)
    unreadable = update(Job).where(Job.unique_key.endswith(ids[0])).values(payload="{}")
    await execute(backstay, unreadable)
    for _ in range(2):
        assert await drain_again(backstay) == 1
        found = await read(ann, bulk_id)
        assert states(found) == {"queued": 2}
        assert found["results"][0]["error_code"] == "internal_error"
    assert await drain_again(backstay) == 2
    assert states(await read(ann, bulk_id)) == {"failed": 1, "succeeded": 1}


async def test_revocation_stops_what_is_left(backstay: Backstay, login: Login) -> None:
    ann, admin = await login(), await login("admin")
    ids = await items_of(backstay, ann, 3)
    bulk_id = await start(ann, "delete_item", ids)
    await hold(backstay, ids[1])
    assert await drain(backstay) == 1
    (role,) = (await admin.client.get(f"{API}/rbac/users/{ann.id}/roles")).json()["items"]
    gone = await admin.client.delete(f"{API}/rbac/roles/{role['id']}/users/{ann.id}")
    assert gone.status_code == 204
    await drain_again(backstay)
    found = await read(ann, bulk_id)
    assert states(found) == {"succeeded": 1, "failed": 2}
    told = {(row["error_code"], row["error"]) for row in found["results"][1:]}
    assert told == {("forbidden", "This needs the permission items:delete.")}
    assert await left(backstay) == 2


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/block"), ("DELETE", "")])
async def test_nothing_is_done_for_who_may_not_sign_in(
    backstay: Backstay, login: Login, method: str, suffix: str
) -> None:
    ann, admin = await login(), await login("admin")
    ids = await items_of(backstay, ann, 3)
    await start(ann, "update_item", ids, title="a mast")
    await hold(backstay, ids[1])
    assert await drain(backstay) == 1
    gone = await admin.client.request(method, f"{API}/users/{ann.id}{suffix}")
    assert gone.status_code in {200, 204}
    await drain_again(backstay)
    statement = select(Job.state, Job.error_code).order_by(Job.position)
    rows = (await execute(backstay, statement.where(Job.name == "UpdateItem"))).all()
    assert [tuple(row) for row in rows] == [("succeeded", None), *[("failed", "auth_error")] * 2]
    changed = select(func.count()).select_from(Item).where(Item.title == "a mast")
    assert (await execute(backstay, changed)).scalar_one() == 1


async def test_what_has_not_begun_is_cancelled(backstay: Backstay, login: Login) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 3)
    bulk_id = await start(ann, "delete_item", ids)
    await hold(backstay, ids[1])
    await drain(backstay)
    cancelled = await ann.client.post(f"{BULK}/{bulk_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["is_over"]) == (200, True)
    assert states(cancelled.json()) == {"succeeded": 1, "cancelled": 2}
    assert await drain_again(backstay) == 0
    assert await left(backstay) == 2
    problem(await ann.client.post(f"{BULK}/{bulk_id}/cancel"), 409, "system.bulk_over")


async def test_a_row_that_runs_is_not_done_again_when_cancelled(
    backstay: Backstay, login: Login
) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 2)
    bulk_id = await start(ann, "delete_item", ids)
    runs = update(Job).where(Job.unique_key.endswith(ids[0]))
    await execute(backstay, runs.values(state="running", attempts=1))
    cancelled = (await ann.client.post(f"{BULK}/{bulk_id}/cancel")).json()
    assert states(cancelled) == {"running": 1, "cancelled": 1}
    await execute(backstay, runs.values(state="queued"))  # as after an attempt that failed
    await drain_again(backstay)
    assert states(await read(ann, bulk_id)) == {"cancelled": 2}
    assert await left(backstay) == 2


async def test_bulk_actions_of_others_are_not_found(backstay: Backstay, login: Login) -> None:
    ann, ben, admin = await login(), await login(), await login("admin")
    bulk_id = await start(ann, "delete_item", await items_of(backstay, ann, 1))
    for person, asked in ((ben, bulk_id), (admin, bulk_id), (ann, str(new_id()))):
        problem(await person.client.get(f"{BULK}/{asked}"), 404, "not_found")
        problem(await person.client.post(f"{BULK}/{asked}/cancel"), 404, "not_found")
        if person is not ann:
            assert (await person.client.get(BULK)).json() == {"items": []}
    assert states(await read(ann, bulk_id)) == {"queued": 1}


async def test_the_newest_are_listed_first(backstay: Backstay, login: Login) -> None:
    ann, ben = await login(), await login()
    ids = await items_of(backstay, ann, 23)
    await start(ben, "delete_item", await items_of(backstay, ben, 1))
    started = [await start(ann, "delete_item", ids[n : n + 2]) for n in range(22)]
    await hold(backstay, ids[-1])
    await drain(backstay)
    found = (await ann.client.get(BULK)).json()["items"]
    assert [each["id"] for each in found] == started[:-21:-1]
    assert [each["is_over"] for each in found] == [False, *[True] * 19]
    assert {each["operation"] for each in found} == {"delete_item"}


async def test_a_thousand_rows_are_done(backstay: Backstay, login: Login) -> None:
    ann = await login()
    bulk_id = await start(ann, "delete_item", await items_of(backstay, ann, MOST_IDS))
    assert await drain(backstay) == MOST_IDS
    assert states(await read(ann, bulk_id)) == {"succeeded": MOST_IDS}
    assert await left(backstay) == 0


async def test_many_started_at_once_stay_below_the_limit(backstay: Backstay, login: Login) -> None:
    ann, ben = await login(), await login()
    ids = await items_of(backstay, ann, 100)
    given = {"operation": "delete_item", "ids": ids}
    answers = await asyncio.gather(*(ann.client.post(BULK, json=given) for _ in range(50)))
    told = sorted(answer.status_code for answer in answers)
    assert told == [202] * (MOST_ROWS // 100) + [429] * (50 - MOST_ROWS // 100)
    problem(next(a for a in answers if a.status_code == 429), 429, "system.too_many_rows")
    stored = select(func.count()).select_from(Job).where(Job.user_id == UUID(ann.id))
    assert (await execute(backstay, stored)).scalar_one() == MOST_ROWS
    await start(ben, "delete_item", ids[:1])


async def test_the_same_key_starts_it_once(backstay: Backstay, login: Login) -> None:
    ann = await login()
    given = {"operation": "delete_item", "ids": await items_of(backstay, ann, 2)}
    headers = {"Idempotency-Key": "once"}
    first = await ann.client.post(BULK, json=given, headers=headers)
    again = await ann.client.post(BULK, json=given, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await drain(backstay) == 2


async def test_its_rows_are_removed_together(backstay: Backstay, login: Login) -> None:
    ann = await login()
    ids = [*await items_of(backstay, ann, 1), str(new_id())]
    bulk_id = await start(ann, "delete_item", ids)
    await drain(backstay)
    await backstay.system(PurgeJobs())
    assert (await read(ann, bulk_id))["rows"] == 2
    eight_days = update(Job).values(finished_at=SecondsFromNow(-8 * 86_400.0))
    await execute(backstay, eight_days)
    await backstay.system(PurgeJobs())
    problem(await ann.client.get(f"{BULK}/{bulk_id}"), 404, "not_found")


async def test_a_long_one_is_no_fault_of_the_queue(backstay: Backstay, login: Login) -> None:
    ann = await login()
    ids = await items_of(backstay, ann, 3)
    await start(ann, "delete_item", ids)
    await execute(backstay, update(Job).values(due_at=SecondsFromNow(-600.0)))
    (waiting,) = await backstay.worker_context.outbox.store.backlog()
    assert (waiting.depth, waiting.oldest > 500) == (1, True)
    await hold(backstay, ids[1])
    await drain(backstay)
    await execute(backstay, update(Job).values(due_at=SecondsFromNow(-600.0)))
    assert await backstay.worker_context.outbox.store.backlog() == []


async def test_a_fresh_proof_is_asked_for_at_the_start(
    login: Login, backstay: Backstay, clock: FrozenClock
) -> None:
    admin, victim = await login("admin"), await login()
    clock.forward(minutes=6)
    asked = {"operation": "delete_user", "ids": [victim.id]}
    told = await admin.client.post(BULK, json=asked)
    problem(told, 401, "fresh_proof_required")
    proof = await admin.client.post("/api/v1/auth/fresh", json={"password": PASSWORD})
    assert proof.status_code == 204
    bulk_id = await start(admin, "delete_user", [victim.id])
    clock.forward(minutes=6)
    await drain(backstay)
    assert states(await read(admin, bulk_id)) == {"succeeded": 1}
