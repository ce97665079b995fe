"""Shows that a user with every permission is no superuser, and cannot become or create one."""

import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.testing import ADMIN_EMAIL, PASSWORD, Login, Person
from tests.features.access.steps import ROLES, RoleKeeper, done, permissions_by_key, role_path
from tests.features.route_walker import Target, everything, places
from tests.features.steps import API, ME, is_signed_in, sign_in
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

LEVEL = 1_000_000
UPWARDS = (f"{API}/users/", f"{API}/rbac/")


@pytest.fixture
async def keeper(login: Login) -> RoleKeeper:
    admin = await login("admin")
    return RoleKeeper(admin, await permissions_by_key(admin))


@pytest.fixture
async def viceroy(keeper: RoleKeeper, login: Login) -> Person:
    """A user with every permission at the scope ANY, at the highest level."""
    person = await login(name="viceroy")
    await keeper.assign(await keeper.role(*keeper.permissions, level=LEVEL), person)
    return person


async def superuser_roles(keeper: RoleKeeper) -> list[str]:
    """The role ``admin``, a superuser role with the lowest level, and a deleted one."""
    (admin,) = (await done(keeper.client.get(f"{ROLES}?name=admin"), 200))["items"]
    low, fallen = [await keeper.role("users:list", level=0, is_superuser=True) for _ in range(2)]
    await done(keeper.client.post(f"{role_path(low)}/users/{keeper.admin.id}"))
    await done(keeper.client.delete(role_path(fallen)), 204)
    return [admin["id"], low["id"], fallen["id"]]


async def test_no_route_leads_to_a_superusers_power(
    keeper: RoleKeeper, viceroy: Person, app: FastAPI, backstay: Backstay
) -> None:
    roles, tried = await superuser_roles(keeper), set()
    field = keeper.field_id("users:list", "QUERY", "email")
    rest = (keeper.id_of("users:list"), field)
    targets = [
        Target(person.id, "nobody", person.tokens["session_id"], person.id, role, *rest)
        for role in roles
        for person in (keeper.admin, viceroy)
    ]
    before, own = await everything(backstay), (await viceroy.client.get(ME)).json()
    for place in places(app):
        for target in targets:
            is_own = target.user == viceroy.id and "{role_id}" not in place.template
            above = place.template.startswith(UPWARDS) and place.is_aimed(target)
            if place.method == "GET" or is_own or not above:
                continue
            body = target.body(place.name) if place.has_body else None
            path = target.path(place.template)
            answer = await viceroy.client.request(place.method, path, json=body)
            # a deleted role is no more there for anybody but whoever restores or erases it
            gone = target.role == roles[2] and answer.status_code == 404
            assert gone or answer.status_code == 403, (place.name, answer.text)
            tried.add(place.name)
    assert tried >= {"UpdateUser", "SetPassword", "AssignRole", "GrantPermission", "UpdateRole"}
    assert await everything(backstay) == before
    assert (await viceroy.client.get(ME)).json() == own
    assert not own["is_superuser"]


async def test_a_power_named_in_a_body_is_refused(keeper: RoleKeeper, viceroy: Person) -> None:
    role = await keeper.role(level=1)
    for method, path, body in (
        ("POST", ROLES, {"name": "root", "is_superuser": True}),
        ("POST", ROLES, {"name": "peer", "level": LEVEL}),
        ("PATCH", role_path(role), {"is_superuser": True}),
        ("PATCH", role_path(role), {"level": LEVEL}),
    ):
        answer = await viceroy.client.request(method, path, json=body)
        problem(answer, 403, "forbidden")


async def test_a_superuser_is_not_reached_through_a_namesake(
    keeper: RoleKeeper, viceroy: Person, login: Login
) -> None:
    """No user can be given an address or a username of the administrator."""
    person = await login()
    named = {"username": "the.admin"}
    await done(keeper.client.patch(ME, json=named), 200)
    for body in ({"email": ADMIN_EMAIL}, {"email": ADMIN_EMAIL.upper()}, {"username": "THE.admin"}):
        for path in (f"{API}/users/{person.id}", ME):
            proof = {"current_password": PASSWORD} if path == ME and "email" in body else {}
            answer = await viceroy.client.patch(path, json={**body, **proof})
            problem(answer, 409)
    assert await is_signed_in(viceroy.client, keeper.admin.tokens["access_token"])
    assert (await sign_in(viceroy.client, ADMIN_EMAIL)).status_code == 200
