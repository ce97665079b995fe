"""Shows who sees other users, and which of their fields."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.permissions import Scope, Source
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.access.model import Role
from backstay.features.access.schemas import Effect
from backstay.testing import ADMIN_EMAIL, Login
from tests.features.granting import grant
from tests.features.steps import API, ME, change_user, execute
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

USERS = f"{API}/users"


async def test_users_see_nobody(login: Login, client: httpx.AsyncClient) -> None:
    person, other = await login(), await login()
    await other.client.patch(ME, json={"username": "other"})
    for path in (USERS, f"{USERS}/{other.id}", f"{USERS}/by-username/other", f"{USERS}/{uuid4()}"):
        problem(await person.client.get(path), 403, "forbidden")
        problem(await client.get(path), 401, "auth_error")


async def test_an_administrator_sees_everybody(login: Login) -> None:
    admin, person = await login("admin"), await login()
    await person.client.patch(ME, json={"username": "Ada"})
    listed = (await admin.client.get(USERS)).json()
    assert [user["email"] for user in listed["items"]] == [person.email, ADMIN_EMAIL]
    assert "roles" not in listed["items"][0]
    one = await admin.client.get(f"{USERS}/{person.id}")
    assert one.json()["roles"] == ["user"]
    for name in ("ada", "ADA"):
        assert (await admin.client.get(f"{USERS}/by-username/{name}")).json() == one.json()
    tag = one.headers["etag"]
    same = await admin.client.get(f"{USERS}/{person.id}", headers={"If-None-Match": tag})
    assert same.status_code == 304


async def test_the_tag_covers_the_roles(login: Login, backstay: Backstay) -> None:
    admin, person = await login("admin"), await login()
    before = await admin.client.get(f"{USERS}/{person.id}")
    await backstay.system(JoinRole(user_id=UUID(person.id), role="admin"))
    after = await admin.client.get(f"{USERS}/{person.id}")
    assert after.json()["roles"] == ["admin", "user"]
    assert after.headers["etag"] != before.headers["etag"]


async def test_no_answer_holds_a_secret(login: Login) -> None:
    admin = await login("admin")
    for path in (USERS, f"{USERS}?limit=5", f"{USERS}/{admin.id}", ME):
        text = (await admin.client.get(path)).text
        assert "$argon2" not in text
        assert "password" not in text
        assert "security_epoch" not in text


async def test_nobody_is_found_twice_or_not_at_all(login: Login) -> None:
    admin = await login("admin")
    problem(await admin.client.get(f"{USERS}/{uuid4()}"), 404, "not_found")
    problem(await admin.client.get(f"{USERS}/by-username/nobody"), 404, "not_found")
    problem(await admin.client.get(f"{USERS}/1"), 422, "validation_error")


async def test_blocked_and_deleted_users_are_distinguished(
    login: Login, backstay: Backstay
) -> None:
    admin, blocked, deleted = await login("admin"), await login(), await login()
    await change_user(backstay, blocked.id, blocked_at=utc_now())
    await change_user(backstay, deleted.id, deleted_at=utc_now())

    async def ids(**params: Any) -> set[str]:
        answer = await admin.client.get(USERS, params=params)
        return {user["id"] for user in answer.json()["items"]}

    assert await ids() == {admin.id, blocked.id}
    assert await ids(is_blocked="true") == {blocked.id}
    assert await ids(is_blocked="false") == {admin.id}
    assert await ids(is_deleted="true") == {deleted.id}
    assert await ids(is_deleted="false") == {admin.id, blocked.id}
    assert await ids(q="ADMIN@") == {admin.id}
    assert await ids(email__contains="PERSON1") == {blocked.id}
    assert await ids(created_at__gte="2999-01-01T00:00:00Z") == set()


@pytest.mark.parametrize("query", ["password_hash=x", "sort=password_hash", "security_epoch=0"])
async def test_secrets_are_neither_filtered_nor_sorted_by(login: Login, query: str) -> None:
    admin = await login("admin")
    problem(await admin.client.get(f"{USERS}?{query}"), 422, "validation_error")


async def test_a_granted_permission_opens_what_it_names(login: Login, backstay: Backstay) -> None:
    clerk, other = await login(), await login()
    await grant(backstay, clerk.id, "users:list")
    assert (await clerk.client.get(USERS)).json()["total"] == 3
    problem(await clerk.client.get(f"{USERS}/{other.id}"), 403)
    await grant(backstay, clerk.id, "users:read")
    assert (await clerk.client.get(f"{USERS}/{other.id}")).json()["id"] == other.id


async def test_under_own_scope_only_oneself_is_seen(login: Login, backstay: Backstay) -> None:
    clerk, other = await login(), await login()
    await clerk.client.patch(ME, json={"username": "clerk"})
    await other.client.patch(ME, json={"username": "other"})
    for permission in ("users:list", "users:read"):
        await grant(backstay, clerk.id, permission, Scope.OWN)
    listed = (await clerk.client.get(USERS)).json()
    assert ([user["id"] for user in listed["items"]], listed["total"]) == ([clerk.id], 1)
    assert (await clerk.client.get(USERS, params={"q": "other"})).json()["total"] == 0
    assert (await clerk.client.get(f"{USERS}/{clerk.id}")).status_code == 200
    for path in (other.id, str(uuid4()), "by-username/other", "by-username/nobody"):
        problem(await clerk.client.get(f"{USERS}/{path}"), 403, "forbidden")


async def test_a_role_that_is_deleted_grants_nothing(login: Login, backstay: Backstay) -> None:
    clerk = await login()
    await grant(backstay, clerk.id, "users:list", role="clerk")
    assert (await clerk.client.get(USERS)).status_code == 200
    removal = update(Role).where(Role.name == "clerk").values(deleted_at=utc_now())
    await execute(backstay, removal)
    backstay.principals.forget_all()
    problem(await clerk.client.get(USERS), 403)


async def test_members_of_a_role_are_found_by_its_name(login: Login, backstay: Backstay) -> None:
    admin, person, clerk = await login("admin"), await login(), await login()
    await grant(backstay, clerk.id, "items:list", role="clerk")

    async def ids(client: httpx.AsyncClient, **params: Any) -> set[str]:
        listed = (await client.get(USERS, params=params)).json()
        assert listed.get("total", len(listed["items"])) == len(listed["items"])
        return {user["id"] for user in listed["items"]}

    assert await ids(admin.client, role="user") == {admin.id, person.id, clerk.id}
    assert await ids(admin.client, role="clerk") == {clerk.id}
    assert await ids(admin.client, role="clerk", limit=5) == {clerk.id}
    assert await ids(admin.client, role="user", q=person.email) == {person.id}
    assert await ids(admin.client, role="nobody") == set()
    await grant(backstay, person.id, "users:list", Scope.OWN)
    assert await ids(person.client, role="user") == {person.id}
    assert await ids(person.client, role="clerk") == set()
    assert await ids(person.client, role="admin", is_deleted="false") == set()
    removal = update(Role).where(Role.name == "clerk").values(deleted_at=utc_now())
    await execute(backstay, removal)
    assert await ids(admin.client, role="clerk") == set()


async def test_pages_by_cursor_stay_within_the_role(login: Login) -> None:
    admin, *_ = [await login("admin"), await login(), await login()]
    path = f"{USERS}?role=user&limit=1&sort=email"
    found: list[str] = []
    while True:
        page = (await admin.client.get(path)).json()
        found += [user["email"] for user in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"{USERS}?role=user&limit=1&cursor={page['next_cursor']}"
    assert found == sorted(found)
    assert len(found) == 3


async def test_a_field_rule_may_hide_who_has_which_role(login: Login, backstay: Backstay) -> None:
    clerk = await login()
    deny = ((Source.QUERY, "role", Effect.DENY),)
    await grant(backstay, clerk.id, "users:list", rules=deny)
    problem(await clerk.client.get(USERS, params={"role": "admin"}), 403, "forbidden")
    assert (await clerk.client.get(USERS)).status_code == 200


QUERIES = [
    "sort=email",
    "sort=-created_at",
    "limit=10",
    "limit=10&sort=-email",
    "email__contains=person",
    "email__in=person0@example.org,person1@example.org",
    "is_blocked=false",
    "is_deleted=false",
    "role=user",
    "q=person",
    "created_at__gte=2000-01-01T00:00:00Z",
]


async def test_under_own_scope_no_query_leads_to_others(login: Login, backstay: Backstay) -> None:
    clerk, _ = await login(), await login()
    await grant(backstay, clerk.id, "users:list", Scope.OWN)
    for query in QUERIES:
        listed = (await clerk.client.get(f"{USERS}?{query}")).json()
        assert [user["id"] for user in listed["items"]] == [clerk.id], query
        assert listed.get("total", 1) == 1, query
        assert listed.get("next_cursor") is None, query
