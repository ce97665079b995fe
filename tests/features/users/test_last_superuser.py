"""Shows that somebody can always do everything: the last superuser stays, also under a race."""

from uuid import UUID

import anyio
import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.features.access.commands import JoinRole
from backstay.features.users.queries.accounts import HasAdmin
from tests.conftest import PASSWORD, Login, Person
from tests.features.steps import ME, change_user, is_signed_in
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
async def test_who_is_blocked_or_deleted_does_not_count(
    login: Login, backstay: Backstay, state: str
) -> None:
    admin, deputy = await login("admin"), await login()
    await join_admins(backstay, deputy)
    await change_user(backstay, deputy.id, **{state: utc_now()})
    problem(await leave(admin), 409, "users.last_superuser")


async def test_of_all_who_leave_at_once_one_stays(login: Login, backstay: Backstay) -> None:
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
