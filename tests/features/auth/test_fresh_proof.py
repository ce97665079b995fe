"""Shows that what widens rights or destroys asks for a proof of the last five minutes."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.features.auth.model import Session
from backstay.settings import Settings
from backstay.testing import PASSWORD, FrozenClock, Login, Person
from backstay.testing.waiting import eventually
from tests.features.access.steps import ROLES, RoleKeeper, done, permissions_by_key, role_path
from tests.features.route_walker import Place, Target, places
from tests.features.steps import AUTH, Trail, bearer, execute, refresh, running, said, session_row
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

FRESH = f"{AUTH}/fresh"
ASKING = {
    *("GrantPermission", "ChangeScope", "RevokePermission"),
    *("AddFieldRule", "ChangeFieldRule", "RemoveFieldRule"),
    *("AssignRole", "UnassignRole", "UpdateRole", "DeleteRole", "RestoreRole"),
    *("UpdateUser", "SetPassword", "DeleteUser", "Impersonate"),
}


async def prove(person: Person, password: str = PASSWORD, **options: Any) -> httpx.Response:
    return await person.client.post(FRESH, json={"password": password}, **options)


def asking(app: FastAPI) -> list[Place]:
    return [place for place in places(app) if place.message.fresh is not None]


def is_asked_for_proof(answer: httpx.Response) -> bool:
    return answer.status_code == 401 and answer.json()["code"] == "fresh_proof_required"


@pytest.fixture
async def keeper(login: Login) -> RoleKeeper:
    admin = await login("admin")
    return RoleKeeper(admin, await permissions_by_key(admin))


async def targets_of(keeper: RoleKeeper, login: Login) -> Target:
    """A role with a field rule, and a user who has it."""
    role = await keeper.role(level=5)
    await keeper.grant(role, "users:list", "OWN", [("QUERY", "email", "DENY")])
    member = await login()
    await keeper.assign(role, member)
    rest = keeper.id_of("users:list"), keeper.field_id("users:list", "QUERY", "email")
    return Target(member.id, "nobody", member.tokens["session_id"], member.id, role["id"], *rest)


async def test_each_message_that_asks_for_it_takes_a_new_proof(
    keeper: RoleKeeper, login: Login, app: FastAPI, clock: FrozenClock
) -> None:
    target, admin = await targets_of(keeper, login), keeper.admin
    assert {place.name for place in asking(app)} == ASKING
    for place in asking(app):
        path = target.path(place.template)
        body = target.body(place.name) if place.has_body else None
        clock.forward(seconds=301)
        answer = await admin.client.request(place.method, path, json=body)
        problem(answer, 401, "fresh_proof_required")
        challenge = 'Bearer error="insufficient_user_authentication", max_age="300"'
        assert answer.headers["www-authenticate"] == challenge
        # a fresh access token is no proof
        admin.tokens = (await refresh(admin.client, admin.tokens["refresh_token"])).json()
        admin.client.headers.update(bearer(admin.tokens["access_token"]))
        assert is_asked_for_proof(await admin.client.request(place.method, path, json=body))
        assert (await prove(admin)).status_code == 204
        answer = await admin.client.request(place.method, path, json=body)
        assert answer.status_code in {200, 201, 204, 404, 409}, (place.name, answer.text)


async def test_the_description_of_the_api_says_so(app: FastAPI, client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for place in places(app):
        if place.is_page:
            continue
        operation = paths[place.template][place.method.lower()]
        assert ("300 seconds old" in operation["description"]) is (place.name in ASKING)
        assert place.name not in ASKING or "401" in operation["responses"]


async def test_a_sign_in_is_a_proof_of_five_minutes(keeper: RoleKeeper, clock: FrozenClock) -> None:
    role = await keeper.role()
    body = {"description": "Seen"}
    clock.forward(seconds=300)
    await done(keeper.client.patch(role_path(role), json=body), 200)
    clock.forward(seconds=1)
    assert is_asked_for_proof(await keeper.client.patch(role_path(role), json=body))
    await done(keeper.client.get(ROLES), 200)
    await done(keeper.client.post(ROLES, json={"name": "grants nothing yet"}))


async def test_a_proof_counts_for_its_session_only(
    login: Login, keeper: RoleKeeper, clock: FrozenClock
) -> None:
    role, body = await keeper.role(), {"description": "Seen"}
    other = await login("admin")
    clock.forward(seconds=301)
    assert (await prove(keeper.admin)).status_code == 204
    await done(keeper.client.patch(role_path(role), json=body), 200)
    assert is_asked_for_proof(await other.client.patch(role_path(role), json=body))


async def test_a_wrong_password_proves_nothing_and_is_recorded(
    keeper: RoleKeeper, clock: FrozenClock, trail: Trail
) -> None:
    role = await keeper.role()
    clock.forward(seconds=301)
    await trail()
    problem(await prove(keeper.admin, "not the password"), 403, "users.wrong_password")
    body = {"description": "Seen"}
    assert is_asked_for_proof(await keeper.client.patch(role_path(role), json=body))
    assert (await prove(keeper.admin)).status_code == 204
    assert said(await trail()) == [
        ("Reauthenticate", "refused", "users.wrong_password"),
        ("UpdateRole", "refused", "fresh_proof_required"),
        ("Reauthenticate", "ok", None),
    ]


async def test_nothing_is_proven_in_a_session_of_before(
    keeper: RoleKeeper, backstay: Backstay
) -> None:
    role = await keeper.role()
    await execute(backstay, update(Session).values(proven_at=None))
    backstay.principals.forget_all()
    body = {"description": "Seen"}
    assert is_asked_for_proof(await keeper.client.patch(role_path(role), json=body))


async def test_a_proof_is_never_a_replay(
    login: Login, clock: FrozenClock, backstay: Backstay
) -> None:
    person, key = await login(), {"Idempotency-Key": "proof"}
    for seconds in (301, 301):
        clock.forward(seconds=seconds)
        answer = await prove(person, headers=key)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "idempotent-replayed" not in answer.headers
        row = await session_row(backstay, person.tokens["session_id"])
        assert row.proven_at == clock.now


async def test_strangers_prove_nothing(client: httpx.AsyncClient) -> None:
    problem(await client.post(FRESH, json={"password": 1}), 401, "auth_error")


async def test_another_process_knows_of_the_proof(
    keeper: RoleKeeper, settings: Settings, clock: FrozenClock
) -> None:
    role, headers = await keeper.role(), bearer(keeper.admin.tokens["access_token"])
    async with running(settings, clock) as there:
        clock.forward(seconds=301)
        url, body = role_path(role), {"description": "Seen"}
        assert is_asked_for_proof(await there.patch(url, json=body, headers=headers))
        assert (await prove(keeper.admin)).status_code == 204

        async def is_let_through() -> bool:
            return (await there.patch(url, json=body, headers=headers)).status_code == 200

        await eventually(is_let_through)
