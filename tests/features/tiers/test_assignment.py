"""Shows who is in which tier, and who decides that."""

from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from backstay.composition import Backstay, seed
from backstay.core.permissions import Scope
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.users.model import User
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, Person
from tests.features.granting import grant
from tests.features.steps import API, ME, Trail, change_user, execute, register, running, said
from tests.features.tiers.conftest import TIERS, MakeTier, add_limit, assign, put_tier
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

USERS = f"{API}/users"


async def test_everybody_begins_in_the_default_tier(admin: Person, login: Login) -> None:
    person = await login()
    for one in (admin, person):
        assert (await one.client.get(ME)).json()["tier"] == "free"
        answer = await admin.client.get(f"{USERS}/{one.id}/tier")
        assert (answer.status_code, answer.json()) == (200, {"tier": "free"})


async def test_a_user_is_put_into_a_tier_and_found_there(
    admin: Person, login: Login, make_tier: MakeTier, trail: Trail
) -> None:
    ada, eve = await login(), await login()
    await make_tier("pro")
    await trail()
    await assign(admin, ada, "pro")
    assert said(await trail()) == [("AssignTier", "ok", None)]
    assert (await ada.client.get(ME)).json()["tier"] == "pro"
    page = (await admin.client.get(f"{USERS}?tier=pro")).json()
    assert [(user["id"], user["tier"]) for user in page["items"]] == [(ada.id, "pro")]
    others = (await admin.client.get(f"{USERS}?tier=free")).json()
    assert {user["id"] for user in others["items"]} == {admin.id, eve.id}


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_unknown_tier_or_user_is_not_found(admin: Person, login: Login) -> None:
    person = await login()
    problem(await put_tier(admin, person.id, "none"), 404)
    problem(await put_tier(admin, str(uuid4()), "free"), 404)
    for path in ("tier", "rate-limits"):
        problem(await admin.client.get(f"{USERS}/{uuid4()}/{path}"), 404)


async def test_a_stale_tag_does_not_overwrite_an_assignment(
    admin: Person, login: Login, make_tier: MakeTier
) -> None:
    person = await login()
    await make_tier("pro")
    path = f"{USERS}/{person.id}/tier"
    seen = {"If-Match": (await admin.client.get(path)).headers["etag"]}
    assert (await put_tier(admin, person.id, "pro", headers=seen)).status_code == 200
    problem(await put_tier(admin, person.id, "free", headers=seen), 412)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_while_limits_are_off_no_limit_is_shown(
    admin: Person, login: Login, make_tier: MakeTier
) -> None:
    person = await login()
    await make_tier("pro", person)
    await add_limit(admin, "pro", f"{API}/users*", 7)
    path = f"{USERS}/{person.id}/rate-limits"
    assert (await admin.client.get(path)).json() == {"tier": "pro", "items": []}
    problem(await person.client.get(path), 403, "forbidden")


async def test_nobody_is_left_in_a_tier_that_is_deleted_meanwhile(
    admin: Person, login: Login, make_tier: MakeTier
) -> None:
    people = [await login() for _ in range(3)]
    await make_tier("pro")
    answers: dict[str, httpx.Response] = {}

    async def delete() -> None:
        answers["deleted"] = await admin.client.delete(f"{TIERS}/pro")

    async def put(person: Person) -> None:
        answers[person.id] = await put_tier(admin, person.id, "pro")

    async with anyio.create_task_group() as group:
        group.start_soon(put, people[0])
        group.start_soon(delete)
        for person in people[1:]:
            group.start_soon(put, person)
    within = [person for person in people if answers[person.id].status_code == 200]
    assert answers["deleted"].status_code == (409 if within else 204)
    for person in people:
        tier = (await person.client.get(ME)).json()["tier"]
        assert tier == ("pro" if person in within else "free")
        assert answers[person.id].status_code in {200, 404, 409}


class TestNoEscalation:
    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    async def test_only_a_superuser_changes_their_own_tier(
        self, admin: Person, login: Login, backstay: Backstay, make_tier: MakeTier
    ) -> None:
        await make_tier("pro")
        person = await login()
        problem(await put_tier(person, person.id, "pro"), 403)
        await grant(backstay, person.id, "tiers:assign")
        problem(await put_tier(person, person.id, "pro"), 403, "forbidden")
        await assign(admin, admin, "pro")

    async def test_a_tier_is_assigned_downwards_only(
        self, admin: Person, login: Login, backstay: Backstay, make_tier: MakeTier
    ) -> None:
        await make_tier("pro")
        support, below, above, deputy = [await login() for _ in range(4)]
        await grant(backstay, support.id, "tiers:assign", level=10)
        await grant(backstay, above.id, "users:list", level=11)
        await backstay.system(JoinRole(user_id=UUID(deputy.id), role="admin"))
        for target in (above, deputy, admin):
            problem(await put_tier(support, target.id, "pro"), 403, "forbidden")
        await assign(support, below, "pro")

    async def test_own_rows_are_ones_own_tier_only(
        self, admin: Person, login: Login, backstay: Backstay
    ) -> None:
        person = await login()
        for permission in ("tiers:read", "tiers:assign"):
            await grant(backstay, person.id, permission, Scope.OWN)
        for path in ("tier", "rate-limits"):
            assert (await person.client.get(f"{USERS}/{person.id}/{path}")).status_code == 200
            problem(await person.client.get(f"{USERS}/{admin.id}/{path}"), 403, "forbidden")
        for target in (person, admin):
            problem(await put_tier(person, target.id, "free"), 403, "forbidden")


async def test_seeding_assigns_a_tier_to_users_without_one(
    admin: Person, login: Login, backstay: Backstay, make_tier: MakeTier
) -> None:
    without, within = await login(), await login()
    await make_tier("pro", within)
    await change_user(backstay, without.id, tier=None)
    assert (await without.client.get(ME)).json()["tier"] is None
    await seed(backstay)
    assert (await without.client.get(ME)).json()["tier"] == "free"
    assert (await within.client.get(ME)).json()["tier"] == "pro"


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_people_register_while_the_default_tier_is_missing(
    backstay: Backstay, settings: Settings, clock: FrozenClock
) -> None:
    named = settings.admin.model_copy(update={"tier_name": "basic"})
    async with running(settings.model_copy(update={"admin": named}), clock) as client:
        created = await register(client, "ada@example.org")
        assert (created.status_code, created.json()["tier"]) == (201, None)


class TestUnderAnotherName:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"TIER_NAME": "basic"}

    async def test_the_default_tier_is_a_setting(
        self, backstay: Backstay, login: Login, app: FastAPI
    ) -> None:
        await execute(backstay, update(User).values(tier=None))
        await seed(backstay)
        admin, person = await login("admin"), await login()
        for one in (admin, person):
            assert (await one.client.get(ME)).json()["tier"] == "basic"
        problem(await admin.client.delete(f"{TIERS}/basic"), 409)
        assert (await admin.client.delete(f"{TIERS}/free")).status_code == 204
