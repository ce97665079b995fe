"""Shows that the last superuser stays, also under concurrent requests."""

from uuid import UUID

import anyio
import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.permissions import Scope
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.users.commands.administration import BlockUser
from backstay.features.users.commands.removal import DeleteUser
from backstay.features.users.queries.accounts import HasAdmin
from backstay.features.users.queries.roles import LastSuperuser
from backstay.testing import PASSWORD, Login, Person
from tests.features.granting import grant
from tests.features.steps import ME, change_user, is_signed_in
from tests.features.users.administering import act
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


async def leave(person: Person) -> httpx.Response:
    return await person.client.request("DELETE", ME, json={"current_password": PASSWORD})


async def join_admins(backstay: Backstay, *people: Person) -> None:
    for person in people:
        await backstay.system(JoinRole(user_id=UUID(person.id), role="admin"))


async def test_the_last_superuser_cannot_leave(login: Login, client: httpx.AsyncClient) -> None:
    admin = await login("admin")
    problem(await leave(admin), 409, "users.last_superuser")
    assert await is_signed_in(client, admin.tokens["access_token"])
    assert (await admin.client.get(ME)).json()["is_superuser"]


async def test_one_of_two_may_leave(login: Login, backstay: Backstay) -> None:
    admin, deputy = await login("admin"), await login()
    await join_admins(backstay, deputy)
    assert (await leave(admin)).status_code == 204
    problem(await leave(deputy), 409, "users.last_superuser")


@pytest.mark.parametrize("state", ["blocked_at", "deleted_at"])
async def test_blocked_and_deleted_superusers_do_not_count(
    login: Login, backstay: Backstay, state: str
) -> None:
    admin, deputy = await login("admin"), await login()
    await join_admins(backstay, deputy)
    await change_user(backstay, deputy.id, **{state: utc_now()})
    problem(await leave(admin), 409, "users.last_superuser")


async def test_if_all_superusers_leave_at_once_one_stays(login: Login, backstay: Backstay) -> None:
    people = [await login("admin"), *[await login() for _ in range(4)]]
    await join_admins(backstay, *people[1:])
    answers: list[httpx.Response] = []

    async def go(person: Person) -> None:
        answers.append(await leave(person))

    async with anyio.create_task_group() as group:
        for person in people:
            group.start_soon(go, person)
    assert sorted(answer.status_code for answer in answers) == [204] * 4 + [409]
    assert await backstay.system(HasAdmin())


async def test_everybody_else_may_leave(login: Login) -> None:
    assert (await leave(await login())).status_code == 204


REMOVALS = ["block", "delete", "erase", "cascade"]


@pytest.mark.parametrize("way", REMOVALS)
async def test_two_superusers_never_remove_each_other(
    login: Login, backstay: Backstay, way: str
) -> None:
    admin, deputy = await login("admin"), await login()
    await join_admins(backstay, deputy)
    for person in (admin, deputy):
        assert (await person.client.get(ME)).json()["is_superuser"]
    answers: list[httpx.Response] = []

    async def remove(sender: Person, target: Person) -> None:
        answers.append(await act(sender, way, target.id))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(remove, admin, deputy)
            group.start_soon(remove, deputy, admin)
    assert await backstay.system(HasAdmin())
    statuses = {answer.status_code for answer in answers}
    assert statuses & {200, 204}
    assert statuses <= {200, 204, 401, 404, 409}
    assert sorted([(await person.client.get(ME)).status_code for person in (admin, deputy)]) == [
        200,
        401,
    ]


@pytest.mark.parametrize("way", REMOVALS)
async def test_a_just_removed_superuser_removes_nobody(
    login: Login, backstay: Backstay, way: str
) -> None:
    await login("admin")
    one, other = await login(), await login()
    await join_admins(backstay, one, other)
    for person in (one, other):
        assert (await person.client.get(ME)).json()["is_superuser"]
    answers: list[httpx.Response] = []

    async def remove(sender: Person, target: Person) -> None:
        answers.append(await act(sender, way, target.id))

    async with anyio.create_task_group() as group:
        group.start_soon(remove, one, other)
        group.start_soon(remove, other, one)
    assert sorted(answer.is_success for answer in answers) == [False, True]


@pytest.mark.parametrize("way", REMOVALS)
async def test_no_route_removes_the_last_superuser(
    login: Login, backstay: Backstay, client: httpx.AsyncClient, way: str
) -> None:
    admin, clerk = await login("admin"), await login()
    for permission in ("users:block", "users:delete", "users:erase"):
        for scope in Scope:
            await grant(backstay, clerk.id, permission, scope, level=2000)
    for sender in (admin, clerk):
        problem(await act(sender, way, admin.id), 403)
    assert await is_signed_in(client, admin.tokens["access_token"])


@pytest.mark.parametrize("way", REMOVALS)
async def test_either_of_two_superusers_may_remove_the_other(
    login: Login, backstay: Backstay, way: str
) -> None:
    admin, deputy = await login("admin"), await login()
    await join_admins(backstay, deputy)
    assert (await act(deputy, way, admin.id)).status_code in {200, 204}
    problem(await leave(deputy), 409, "users.last_superuser")


async def test_the_application_itself_cannot_remove_the_last_either(
    login: Login, backstay: Backstay
) -> None:
    admin = await login("admin")
    for command in (
        BlockUser(id=UUID(admin.id)),
        DeleteUser(id=UUID(admin.id)),
        DeleteUser(id=UUID(admin.id), hard=True, cascade=True),
    ):
        with pytest.raises(LastSuperuser):
            await backstay.system(command)
