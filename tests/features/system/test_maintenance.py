"""Shows what maintenance refuses, what it lets pass, and how it ends."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from backstay.cli.operators import sender_of
from backstay.composition import Backstay
from backstay.core.jobs import JobState
from backstay.db.idempotency import StoredAnswer
from backstay.features.items.model import Item
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.features.system.queries.probes import GetMaintenance
from backstay.features.users.commands.admins import CreateAdmin
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from backstay.testing import PASSWORD, Login, Work
from backstay.testing.waiting import eventually
from tests.clocks import StandingClock
from tests.features.steps import API, AUTH, ME, Trail, execute, needs, refresh, register, said
from tests.observability.steps import samples_in
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]

WHY = "The harbour moves"
ITEMS = f"{API}/items"


async def begin(backstay: Backstay, seconds: int | None = None) -> None:
    await sender_of(backstay, "ann@host")(BeginMaintenance(reason=WHY, seconds=seconds))


async def create(client: httpx.AsyncClient, title: str, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(ITEMS, json={"title": title}, headers=headers)


async def titles(backstay: Backstay) -> list[str]:
    return sorted((await execute(backstay, select(Item.title))).scalars())


async def test_commands_are_refused_and_queries_answered(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, trail: Trail
) -> None:
    ann, admin = await login(), await login("admin")
    made = (await create(ann.client, "before")).headers["Location"]
    await begin(backstay)
    await trail()
    for person in (ann, admin):
        refused = problem(await create(person.client, "during"), 503, "maintenance")
        assert refused["detail"] == WHY
    assert said(await trail()) == [("CreateItem", "refused", "maintenance")] * 2
    assert (await ann.client.delete(made)).headers["Retry-After"] == "30"
    problem(await register(client, "bob@example.org"), 503, "maintenance")
    assert (await ann.client.get(made)).json()["title"] == "before"
    problem(await create(client, "stranger"), 401, "auth_error")
    problem(await ann.client.post(f"{API}/tiers", json={"name": "x"}), 403, "forbidden")
    assert await backstay.system(EndMaintenance())
    assert not await backstay.system(EndMaintenance())
    assert (await create(ann.client, "after")).status_code == 201
    assert await titles(backstay) == ["after", "before"]


async def test_sessions_begin_and_end_during_maintenance(
    login: Login, backstay: Backstay, trail: Trail
) -> None:
    ann, admin = await login(), await login("admin")
    await begin(backstay)
    await trail()
    again = await login("admin")
    assert (await refresh(again.client, again.tokens["refresh_token"])).status_code == 200
    assert (await ann.client.delete(f"{AUTH}/sessions")).status_code == 204
    proof = await admin.client.post(f"{AUTH}/fresh", json={"password": PASSWORD})
    assert proof.status_code == 204
    ended = await admin.client.delete(f"{API}/users/{ann.id}/sessions")
    assert ended.status_code == 204
    assert (await ann.client.get(ME)).status_code == 401
    assert (await again.client.post(f"{AUTH}/logout")).status_code == 204
    found = said(await trail())
    assert {each[0] for each in found} >= {"Login", "RefreshSession", "EndSessions", "Logout"}
    assert {each[1] for each in found} == {"ok"}


async def test_a_stored_answer_is_given_again(login: Login, backstay: Backstay) -> None:
    ann = await login()
    first = await create(ann.client, "once", key="k1")
    await begin(backstay)
    again = await create(ann.client, "once", key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    for _ in range(2):
        problem(await create(ann.client, "new", key="k2"), 503, "maintenance")
    assert len((await execute(backstay, select(StoredAnswer.id))).all()) == 1
    await backstay.system(EndMaintenance())
    later = await create(ann.client, "new", key="k2")
    assert later.status_code == 201
    assert "Idempotent-Replayed" not in later.headers
    assert await titles(backstay) == ["new", "once"]


async def test_writers_at_the_switch_are_done_or_refused(login: Login, backstay: Backstay) -> None:
    ann = await login()

    async def write(number: int) -> int:
        if number == 25:
            await begin(backstay)
        return (await create(ann.client, f"{number:02}")).status_code

    answered = await asyncio.gather(*map(write, range(50)))
    assert set(answered) <= {201, 503}
    done = [f"{number:02}" for number, status in enumerate(answered) if status == 201]
    assert await titles(backstay) == done
    assert (await create(ann.client, "later")).status_code == 503


async def test_it_ends_by_itself(
    login: Login, backstay: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await login()
    await begin(backstay, seconds=600)
    refused = await create(ann.client, "during")
    assert 590 < int(refused.headers["Retry-After"]) <= 600
    clock = StandingClock()
    clock.now += 640
    monkeypatch.setattr(backstay.maintenance, "_monotonic", clock)
    monkeypatch.setattr(backstay.maintenance, "_complete_until", clock.now)
    assert (await create(ann.client, "after")).status_code == 201
    await begin(backstay, seconds=1)
    since = (await backstay.system(GetMaintenance())).began_at
    await begin(backstay)
    state = await backstay.system(GetMaintenance())
    assert (state.is_on, state.ends_at, state.operator) == (True, None, "ann@host")
    assert state.began_at == since


async def test_the_application_itself_may_write(login: Login, backstay: Backstay) -> None:
    await begin(backstay)
    await backstay.system(CreateAdmin(email="eve@example.org", password=PASSWORD))
    ann = await login("admin")
    problem(await ann.client.post(f"{API}/users/{ann.id}/block"), 503, "maintenance")


async def test_probes_and_metrics_show_it(client: httpx.AsyncClient, backstay: Backstay) -> None:
    async def shown() -> tuple[Any, ...]:
        health = (await client.get("/health")).json()
        (metric,) = samples_in((await client.get("/metrics")).text)["backstay_maintenance"].values()
        ready = (await client.get("/readyz")).status_code
        return health["checks"]["maintenance"], WHY in str(health["reasons"]), metric, ready

    assert await shown() == ("off", False, 0, 200)
    await begin(backstay)
    assert await shown() == ("degraded", True, 1, 200)


@needs("mail")
async def test_jobs_wait_and_none_is_lost(
    client: httpx.AsyncClient, backstay: Backstay, work: Work
) -> None:
    place = backstay.worker_context
    await register(client, "bob@example.org")
    waiting = select(func.count()).where(Job.state == JobState.QUEUED.value)
    before = (await execute(backstay, waiting)).scalar_one()
    await begin(backstay)
    assert await Worker(place).drain() == 0
    assert (await execute(backstay, waiting)).scalar_one() == before > 0
    await backstay.system(EndMaintenance())
    assert await Worker(place).drain() >= before
    assert (await execute(backstay, waiting)).scalar_one() == 0


async def test_schedules_fire_once_afterwards(backstay: Backstay) -> None:
    place, looked, ticks = backstay.worker_context, asyncio.Event(), []

    class Counting(Scheduler):
        async def tick(self) -> float:
            ticks.append(await super().tick())
            return 0.0

    async def is_paused() -> bool:
        looked.set()
        return await place.is_paused()

    async def fired() -> int:
        rows = await execute(backstay, select(func.count()).select_from(Job))
        return int(rows.scalar_one())

    await begin(backstay)
    scheduling = asyncio.create_task(Counting(place.schedule, place.outbox, is_paused).work())
    await looked.wait()
    assert (ticks, await fired()) == ([], 0)
    await backstay.system(EndMaintenance())
    await eventually(lambda: len(ticks) > 1)
    scheduling.cancel()
    assert 0 < await fired() <= len(place.schedule)
