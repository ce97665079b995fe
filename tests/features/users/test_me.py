"""Shows how a user reads, changes and deletes their own account."""

from collections.abc import Awaitable
from uuid import UUID

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.context import Context, Origin, PrincipalChanges, Sender, UnitOfWork
from backstay.core.errors import Conflict
from backstay.core.principal import Principal
from backstay.core.representation import Preconditions
from backstay.db.session import Transaction
from backstay.features.users.commands.accounts import (
    DeleteMe,
    UpdateMe,
    delete_me,
    update_me,
)
from backstay.features.users.queries.accounts import GetAccount
from backstay.jobs.outbox import Events
from backstay.testing import PASSWORD, FrozenClock, Login
from tests.features.steps import (
    API,
    ME,
    OTHER_PASSWORD,
    bearer,
    is_signed_in,
    refresh,
    register,
    sign_in,
)
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio


async def test_the_profile_shows_the_caller(login: Login) -> None:
    user, admin = await login(), await login("admin")
    mine = (await user.client.get(ME)).json()
    assert set(mine) == {
        "id",
        "email",
        "pending_email",
        "email_verified",
        "username",
        "name",
        "tier",
        "created_at",
        "updated_at",
        "version",
        "is_superuser",
        "roles",
        "permissions",
        "impersonated_by",
    }
    assert (mine["email"], mine["roles"], mine["is_superuser"]) == (user.email, ["user"], False)
    theirs = (await admin.client.get(ME)).json()
    assert (theirs["is_superuser"], theirs["roles"]) == (True, ["admin", "user"])


async def test_strangers_have_no_profile(client: httpx.AsyncClient) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        problem(await client.request(method, ME, content=b"{"), 401, "auth_error")


async def test_a_change_is_seen_at_once(login: Login) -> None:
    person = await login()
    before = await person.client.get(ME)
    changed = await person.client.patch(ME, json={"name": " Ada ", "username": "ADA"})
    assert changed.status_code == 200
    after = await person.client.get(ME)
    assert after.json() == changed.json()
    assert after.headers["etag"] == changed.headers["etag"] != before.headers["etag"]
    assert (after.json()["name"], after.json()["username"]) == ("Ada", "ada")
    assert after.json()["version"] > before.json()["version"]


async def test_null_empties_a_field_and_absence_keeps_it(login: Login) -> None:
    person = await login()
    await person.client.patch(ME, json={"name": "Ada", "username": "ada"})
    changed = (await person.client.patch(ME, json={"name": None})).json()
    assert (changed["name"], changed["username"]) == (None, "ada")
    same = (await person.client.patch(ME, json={})).json()
    assert (same["name"], same["username"]) == (None, "ada")
    body = problem(await person.client.patch(ME, json={"email": None}), 422)
    assert set(fields_of(body)) == {"email"}


async def test_a_username_of_another_user_is_refused(login: Login) -> None:
    one, two = await login(), await login()
    assert (await one.client.patch(ME, json={"username": "ada"})).status_code == 200
    problem(await two.client.patch(ME, json={"username": "Ada"}), 409, "users.username_taken")


async def test_the_profile_has_an_entity_tag(login: Login) -> None:
    person = await login()
    tag = (await person.client.get(ME)).headers["etag"]
    same = await person.client.get(ME, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    first = await person.client.patch(ME, json={"name": "Ada"}, headers={"If-Match": tag})
    assert first.status_code == 200
    stale = await person.client.patch(ME, json={"name": "Eve"}, headers={"If-Match": tag})
    problem(stale, 412, "precondition_failed")
    body = {"current_password": PASSWORD}
    answer = await person.client.request("DELETE", ME, json=body, headers={"If-Match": tag})
    problem(answer, 412, "precondition_failed")
    assert (await person.client.get(ME)).json()["name"] == "Ada"


async def test_a_new_address_needs_the_password_and_is_pending(
    login: Login, client: httpx.AsyncClient
) -> None:
    person = await login()
    new = {"email": "New@Example.org"}
    body = problem(await person.client.patch(ME, json=new), 422)
    assert fields_of(body) == {"current_password": "missing"}
    wrong = await person.client.patch(ME, json={**new, "current_password": "wrong password"})
    problem(wrong, 403, "users.wrong_password")
    assert (await person.client.get(ME)).json()["pending_email"] is None
    changed = await person.client.patch(ME, json={**new, "current_password": PASSWORD})
    assert changed.json()["email"] == person.email
    assert changed.json()["pending_email"] == "new@example.org"
    assert (await sign_in(client, person.email)).status_code == 200
    problem(await sign_in(client, "new@example.org"), 401)


async def test_a_taken_address_is_refused(login: Login) -> None:
    one, two = await login(), await login()
    body = {"email": one.email.upper(), "current_password": PASSWORD}
    problem(await two.client.patch(ME, json=body), 409, "users.email_taken")


async def test_the_own_address_changes_nothing(login: Login) -> None:
    person = await login()
    body = {"email": person.email.upper(), "current_password": PASSWORD}
    assert (await person.client.patch(ME, json=body)).json()["pending_email"] is None


async def test_leaving_ends_every_session(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    elsewhere = (await sign_in(client, person.email)).json()
    answer = await person.client.request("DELETE", ME, json={"current_password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    for tokens in (person.tokens, elsewhere):
        assert not await is_signed_in(client, tokens["access_token"])
        problem(await refresh(client, tokens["refresh_token"]), 401)
    problem(await sign_in(client, person.email), 401, "auth_error")


async def test_leaving_needs_the_password(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    problem(await person.client.delete(ME), 422, "validation_error")
    for body in ({}, {"current_password": None}, {"current_password": PASSWORD, "hard": True}):
        answer = await person.client.request("DELETE", ME, json=body)
        problem(answer, 422, "validation_error")
    answer = await person.client.request("DELETE", ME, json={"current_password": "wrong one"})
    problem(answer, 403, "users.wrong_password")
    assert await is_signed_in(client, person.tokens["access_token"])


async def test_me_always_means_the_caller(login: Login) -> None:
    one, two = await login(), await login()
    await two.client.patch(ME, json={"name": "Two"})
    assert (await one.client.get(ME)).json()["id"] == one.id
    assert (await two.client.get(ME)).json()["id"] == two.id
    assert (await one.client.get(ME, headers={"If-None-Match": "*"})).status_code == 304


async def test_the_tag_is_the_same_wherever_it_is_computed(
    login: Login, backstay: Backstay, client: httpx.AsyncClient
) -> None:
    person = await login()
    tags = set()
    for _ in range(3):
        backstay.principals.forget_all()
        tags.add((await person.client.get(ME)).headers["etag"])
    await register(client, "someone@example.org")
    other = (await sign_in(client, person.email)).json()["access_token"]
    tags.add((await client.get(ME, headers=bearer(other))).headers["etag"])
    assert len(tags) == 1


async def test_there_is_no_other_way_to_a_profile(login: Login) -> None:
    person, other = await login(), await login()
    for method in ("PATCH", "PUT", "DELETE"):
        body = None if method == "DELETE" else {"name": "x"}
        answer = await person.client.request(method, f"{API}/users/{other.id}", json=body)
        assert answer.status_code in {403, 405}, answer.text


@pytest.mark.parametrize("command", ["update", "delete"])
async def test_a_password_that_was_replaced_meanwhile_proves_nothing(
    login: Login, backstay: Backstay, clock: FrozenClock, command: str
) -> None:
    admin, person = await login("admin"), await login()
    principal = Principal(user_id=UUID(person.id))
    proven = await backstay.system(GetAccount(user_id=principal.id))
    assert proven is not None
    answer = await admin.client.put(
        f"{API}/users/{person.id}/password", json={"new_password": OTHER_PASSWORD}
    )
    assert answer.status_code == 200
    async with Transaction(backstay.database.writer) as session:
        context = Context(UpdateMe(), principal, Origin(), Sender(backstay.bus.send, principal))
        context.unit_of_work = UnitOfWork(session)
        send, none, changes = context.sender.inside(context), Preconditions(), PrincipalChanges()
        events = Events(backstay.worker_context.outbox, context)
        if command == "update":
            update = UpdateMe(email="mine.now@example.org", current_password=PASSWORD)
            late: Awaitable[object] = update_me(
                update, session, principal, none, proven, send, changes, events
            )
        else:
            leave = DeleteMe(current_password=PASSWORD)
            late = delete_me(leave, session, principal, none, proven, clock, send, changes)
        with pytest.raises(Conflict):
            await late
