"""Shows that the last superuser and the seeded roles stay, also under concurrent requests."""

from uuid import UUID

import anyio
import httpx
import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.features.access.model import Role, RoleMember
from backstay.features.users.queries.accounts import HasAdmin
from backstay.testing import PASSWORD, Login, Person
from tests.features.access.steps import ROLES, RoleKeeper, done, role_path
from tests.features.steps import API, ME, change_user, execute
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


async def admin_path(keeper: RoleKeeper) -> str:
    page = await done(keeper.client.get(f"{ROLES}?name=admin"), 200)
    return role_path(page["items"][0])


async def at_once(*requests: tuple[Person, str, str]) -> list[int]:
    """The sorted statuses of requests that are sent at the same time."""
    answers: list[httpx.Response] = []

    async def send(person: Person, method: str, path: str) -> None:
        bodies: dict[str, object] = {"PATCH": {"is_superuser": False}}
        body = {"current_password": PASSWORD} if path == ME else bodies.get(method)
        answers.append(await person.client.request(method, path, json=body))

    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(send, *request)
    return sorted(answer.status_code for answer in answers)


async def test_the_last_superuser_keeps_the_role(keeper: RoleKeeper, ada: Person) -> None:
    path = await admin_path(keeper)
    own = f"{path}/users/{keeper.admin.id}"
    problem(await keeper.client.delete(own), 409, "users.last_superuser")
    await done(keeper.client.post(f"{path}/users/{ada.id}"))
    await done(keeper.client.delete(own), 204)
    assert not (await keeper.client.get(ME)).json()["is_superuser"]
    problem(await ada.client.delete(f"{path}/users/{ada.id}"), 409, "users.last_superuser")


async def test_the_role_of_the_last_superuser_keeps_its_power(
    keeper: RoleKeeper, ada: Person, backstay: Backstay
) -> None:
    chief = await keeper.role(is_superuser=True)
    await keeper.assign(chief, ada)
    path = await admin_path(keeper)
    await done(ada.client.delete(f"{path}/users/{keeper.admin.id}"), 204)
    for method, where, body in (
        ("PATCH", role_path(chief), {"is_superuser": False}),
        ("DELETE", role_path(chief), None),
        ("DELETE", f"{role_path(chief)}?hard=true", None),
        ("DELETE", f"{role_path(chief)}/users/{ada.id}", None),
    ):
        refused = await ada.client.request(method, where, json=body)
        problem(refused, 409, "users.last_superuser")
    assert (await ada.client.get(role_path(chief))).json()["is_superuser"]
    assert await backstay.system(HasAdmin())


@pytest.mark.parametrize("state", ["blocked_at", "deleted_at"])
async def test_superusers_who_cannot_sign_in_do_not_count(
    keeper: RoleKeeper, ada: Person, backstay: Backstay, state: str
) -> None:
    path = await admin_path(keeper)
    await done(keeper.client.post(f"{path}/users/{ada.id}"))
    await change_user(backstay, ada.id, **{state: utc_now()})
    refused = await keeper.client.delete(f"{path}/users/{keeper.admin.id}")
    problem(refused, 409, "users.last_superuser")


@pytest.mark.parametrize("attempt", range(3))
async def test_of_two_superusers_demoting_each_other_one_fails(
    keeper: RoleKeeper, ada: Person, backstay: Backstay, attempt: int
) -> None:
    path = await admin_path(keeper)
    await done(keeper.client.post(f"{path}/users/{ada.id}"))
    statuses = await at_once(
        (keeper.admin, "DELETE", f"{path}/users/{ada.id}"),
        (ada, "DELETE", f"{path}/users/{keeper.admin.id}"),
    )
    assert statuses == [204, 403]
    members = select(RoleMember.user_id).where(
        RoleMember.user_id.in_([UUID(ada.id), UUID(keeper.admin.id)]),
        RoleMember.role_id == UUID(path.rpartition("/")[2]),
    )
    assert len((await execute(backstay, members)).all()) == 1
    assert await backstay.system(HasAdmin())


async def test_if_all_superusers_resign_at_once_one_stays(
    keeper: RoleKeeper, login: Login, backstay: Backstay
) -> None:
    path = await admin_path(keeper)
    people = [keeper.admin, *[await login() for _ in range(3)]]
    for person in people[1:]:
        await done(keeper.client.post(f"{path}/users/{person.id}"))
    statuses = await at_once(
        *((person, "DELETE", f"{path}/users/{person.id}") for person in people[:2]),
        *((person, "DELETE", ME) for person in people[2:]),
    )
    assert statuses == [204, 204, 204, 409]
    assert await backstay.system(HasAdmin())


async def test_restored_superusers_count_again(keeper: RoleKeeper, ada: Person) -> None:
    chief = await keeper.role(is_superuser=True)
    await keeper.assign(chief, ada)
    own = f"{await admin_path(keeper)}/users/{keeper.admin.id}"
    account = f"{API}/users/{ada.id}"
    for path in (role_path(chief), account):
        await done(keeper.client.delete(path), 204)
        problem(await keeper.client.delete(own), 409, "users.last_superuser")
        await done(keeper.client.post(f"{path}/restore"), 200)
    await done(keeper.client.post(f"{account}/block"), 200)
    await done(keeper.client.delete(account), 204)
    await done(keeper.client.post(f"{account}/restore"), 200)
    problem(await keeper.client.delete(own), 409, "users.last_superuser")
    await done(keeper.client.post(f"{account}/unblock"), 200)
    await done(keeper.client.delete(own), 204)


@pytest.mark.parametrize("attempt", range(3))
async def test_two_superusers_removing_themselves_at_once_leave_one(
    keeper: RoleKeeper, ada: Person, backstay: Backstay, attempt: int
) -> None:
    chief = await keeper.role(is_superuser=True)
    await keeper.assign(chief, ada)
    path = await admin_path(keeper)
    ways = [
        (keeper.admin, "POST", f"{API}/users/{ada.id}/block"),
        (ada, "DELETE", f"{path}/users/{keeper.admin.id}"),
        (keeper.admin, "DELETE", role_path(chief)),
        (ada, "DELETE", f"{API}/users/{keeper.admin.id}?hard=true&cascade=true"),
        (keeper.admin, "PATCH", role_path(chief)),
        (ada, "DELETE", ME),
        (keeper.admin, "DELETE", ME),
    ]
    statuses = await at_once(*ways[attempt:], *ways[:attempt])
    assert set(statuses) & {200, 204}
    assert set(statuses) <= {200, 204, 401, 403, 404, 409}
    assert await backstay.system(HasAdmin())


async def test_the_seeded_roles_stay(keeper: RoleKeeper, login: Login, backstay: Backstay) -> None:
    page = await done(keeper.client.get(ROLES), 200)
    admin, user = ({r["name"]: r for r in page["items"]}[name] for name in ("admin", "user"))
    for role in (admin, user):
        for query in ("", "?hard=true"):
            refused = await keeper.client.delete(f"{role_path(role)}{query}")
            problem(refused, 409, "access.role_protected")
        refused = await keeper.client.patch(role_path(role), json={"name": "other"})
        problem(refused, 409, "access.role_protected")
    raised = await keeper.client.patch(role_path(user), json={"level": 49})
    problem(raised, 409, "access.role_protected")
    deputy = await login()
    await keeper.assign(admin, deputy)
    for body in ({"is_superuser": False}, {"level": 999}):
        refused = await keeper.client.patch(role_path(admin), json=body)
        problem(refused, 409, "access.role_protected")
    described = await keeper.client.patch(role_path(admin), json={"description": "The boss."})
    assert described.json()["description"] == "The boss."
    stored = select(Role.level, Role.is_superuser).where(Role.name == "admin")
    assert tuple((await execute(backstay, stored)).one()) == (1000, True)
