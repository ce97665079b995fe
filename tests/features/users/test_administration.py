"""Shows what administrators do to the accounts of others."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.testing import PASSWORD, Login
from tests.features.granting import grant
from tests.features.steps import (
    ME,
    OTHER_PASSWORD,
    change_user,
    is_signed_in,
    needs,
    refresh,
    sign_in,
)
from tests.features.users.administering import USERS, WAYS, act
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

ANSWER_WITH_THE_USER = ["rename", "readdress", "block", "unblock", "set password", "restore"]
END_SESSIONS = ["block", "set password", "sign out", "delete", "erase", "cascade"]
CONDITIONAL = ["rename", "set password", "delete", "erase"]


@pytest.mark.parametrize("way", ANSWER_WITH_THE_USER)
async def test_the_answer_is_the_user_as_it_is_read_next(login: Login, way: str) -> None:
    admin, person = await login("admin"), await login()
    answer = await act(admin, way, person.id)
    assert answer.status_code == 200, answer.text
    read = await admin.client.get(f"{USERS}/{person.id}")
    assert read.json() == answer.json()
    assert read.headers["etag"] == answer.headers["etag"]
    assert answer.json()["roles"] == ["user"]


async def test_strangers_and_users_may_do_nothing(login: Login, client: httpx.AsyncClient) -> None:
    person, other = await login(), await login()
    for way in WAYS:
        problem(await act(client, way, other.id), 401, "auth_error")
        for user_id in (other.id, person.id, str(uuid4())):
            problem(await act(person, way, user_id), 403, "forbidden")
        assert await is_signed_in(client, other.tokens["access_token"]), way


async def test_unknown_users_are_not_found(login: Login) -> None:
    admin = await login("admin")
    for way in WAYS:
        problem(await act(admin, way, str(uuid4())), 404, "not_found")
        problem(await act(admin, way, "1"), 422, "validation_error")


@pytest.mark.parametrize("way", sorted(WAYS.keys() - {"erase", "cascade", "restore"}))
async def test_the_deleted_are_only_restored_or_erased(login: Login, way: str) -> None:
    admin, person = await login("admin"), await login()
    assert (await act(admin, "delete", person.id)).status_code == 204
    problem(await act(admin, way, person.id), 404, "not_found")


@pytest.mark.parametrize("way", CONDITIONAL)
async def test_an_outdated_tag_is_refused(login: Login, way: str) -> None:
    admin, person = await login("admin"), await login()
    stale = (await admin.client.get(f"{USERS}/{person.id}")).headers["etag"]
    current = (await act(admin, "rename", person.id)).headers["etag"]
    answer = await act(admin, way, person.id, headers={"If-Match": stale})
    problem(answer, 412, "precondition_failed")
    answer = await act(admin, way, person.id, headers={"If-Match": current})
    assert answer.status_code in {200, 204}


async def test_if_match_means_nothing_to_a_collection(login: Login) -> None:
    admin, person = await login("admin"), await login()
    answer = await act(admin, "sign out", person.id, headers={"If-Match": '"of something else"'})
    assert answer.status_code == 204


@pytest.mark.parametrize("way", END_SESSIONS)
async def test_actions_that_end_sessions_end_all_at_once(
    login: Login, client: httpx.AsyncClient, way: str
) -> None:
    admin, person, bystander = await login("admin"), await login(), await login()
    elsewhere = (await sign_in(client, person.email)).json()
    assert (await act(admin, way, person.id)).status_code in {200, 204}
    for tokens in (person.tokens, elsewhere):
        assert not await is_signed_in(client, tokens["access_token"])
        problem(await refresh(client, tokens["refresh_token"]), 401, "auth_error")
    for other in (admin, bystander):
        assert await is_signed_in(client, other.tokens["access_token"])


async def test_a_change_reaches_its_user_at_once(login: Login) -> None:
    admin, person = await login("admin"), await login()
    changed = await admin.client.patch(
        f"{USERS}/{person.id}", json={"name": " Ada ", "username": "ADA"}
    )
    mine = (await person.client.get(ME)).json()
    assert (mine["name"], mine["username"], mine["version"]) == (
        "Ada",
        "ada",
        changed.json()["version"],
    )
    emptied = await admin.client.patch(f"{USERS}/{person.id}", json={"name": None})
    assert (emptied.json()["name"], emptied.json()["username"]) == (None, "ada")


async def test_an_address_set_by_an_administrator_is_active_and_unverified(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    admin, person = await login("admin"), await login()
    await change_user(
        backstay, person.id, email_verified_at=utc_now(), pending_email="p@example.org"
    )
    same = await admin.client.patch(
        f"{USERS}/{person.id}", json={"email": person.email.upper(), "name": "Ada"}
    )
    assert same.json()["email_verified"] is True
    changed = await admin.client.patch(f"{USERS}/{person.id}", json={"email": "New@Example.org"})
    assert (changed.json()["email"], changed.json()["email_verified"]) == ("new@example.org", False)
    assert (await person.client.get(ME)).json()["pending_email"] is None
    assert (await sign_in(client, "new@example.org")).status_code == 200
    problem(await sign_in(client, person.email), 401)


async def test_names_of_others_are_refused(login: Login) -> None:
    admin, one, two = await login("admin"), await login(), await login()
    await act(admin, "rename", one.id)
    await one.client.patch(ME, json={"username": "ada"})
    for body, code in (
        ({"email": one.email.upper()}, "users.email_taken"),
        ({"username": "Ada"}, "users.username_taken"),
    ):
        problem(await admin.client.patch(f"{USERS}/{two.id}", json=body), 409, code)


@pytest.mark.parametrize(
    "field",
    [
        "is_superuser",
        "is_blocked",
        "is_deleted",
        "id",
        "owner_id",
        "version",
        "deleted_at",
        "blocked_at",
        "email_verified_at",
        "email_verified",
        "password_hash",
        "security_epoch",
        "roles",
        "level",
    ],
)
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nothing_else_can_be_assigned(login: Login, field: str) -> None:
    admin, person = await login("admin"), await login()
    before = (await admin.client.get(f"{USERS}/{person.id}")).json()
    value: Any = [] if field == "roles" else 1
    for client, path in ((admin.client, f"{USERS}/{person.id}"), (person.client, ME)):
        body = problem(await client.patch(path, json={"name": "Ada", field: value}), 422)
        assert fields_of(body) == {field: "extra_forbidden"}
    answer = await admin.client.put(
        f"{USERS}/{person.id}/password", json={"new_password": OTHER_PASSWORD, field: value}
    )
    problem(answer, 422, "validation_error")
    assert (await admin.client.get(f"{USERS}/{person.id}")).json() == before


async def test_the_blocked_cannot_sign_in_until_they_are_unblocked(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin, person = await login("admin"), await login()
    first = await act(admin, "block", person.id)
    assert first.json()["is_blocked"] is True
    assert (await act(admin, "block", person.id)).json() == first.json()
    problem(await sign_in(client, person.email), 401, "auth_error")
    assert (await act(admin, "unblock", person.id)).json()["is_blocked"] is False
    assert (await sign_in(client, person.email)).status_code == 200
    assert not await is_signed_in(client, person.tokens["access_token"])


async def test_a_password_that_was_set_replaces_the_old_one(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin, person = await login("admin"), await login()
    answer = await act(admin, "set password", person.id)
    assert OTHER_PASSWORD not in answer.text
    problem(await sign_in(client, person.email), 401)
    assert (await sign_in(client, person.email, password=OTHER_PASSWORD)).status_code == 200


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("seven..", "string_too_short"),
        ("password123", "common_password"),
        ("my person1 pass", "personal_password"),
    ],
)
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_password_that_is_set_must_be_a_good_one(login: Login, new: str, code: str) -> None:
    admin, person = await login("admin"), await login()
    assert person.email == "person1@example.org"
    answer = await admin.client.put(f"{USERS}/{person.id}/password", json={"new_password": new})
    assert fields_of(problem(answer, 422)) == {"new_password": code}
    assert new not in answer.text


async def test_the_own_account_is_left_to_its_own_routes(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin = await login("admin")
    for way in sorted(WAYS.keys() - {"rename", "list sessions", "list devices", "sign out"}):
        problem(await act(admin, way, admin.id), 403, "users.own_account")
    renamed = await act(admin, "rename", admin.id)
    assert renamed.json()["name"] == "Renamed"
    assert (await sign_in(client, admin.email, password=PASSWORD)).status_code == 200


async def test_sessions_of_a_user_are_listed_without_secrets(
    login: Login, backstay: Backstay
) -> None:
    clerk, person = await login(), await login()
    await grant(backstay, clerk.id, "sessions:list")
    listed = await act(clerk, "list sessions", person.id)
    assert listed.status_code == 200
    (one,) = listed.json()["items"]
    assert (one["id"], one["current"]) == (person.tokens["session_id"], False)
    assert "hash" not in listed.text
    problem(await act(clerk, "sign out", person.id), 403, "forbidden")
    (own,) = (await act(clerk, "list sessions", clerk.id)).json()["items"]
    assert own["current"] is True


async def test_sessions_that_were_ended_are_no_longer_listed(login: Login) -> None:
    admin, person = await login("admin"), await login()
    answer = await act(admin, "sign out", person.id)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await act(admin, "list sessions", person.id)).json() == {"items": []}


@needs("items")
async def test_blocking_a_user_keeps_their_rows(login: Login) -> None:
    admin, person = await login("admin"), await login()
    item = await person.client.post("/api/v1/items", json={"title": "Sextant"})
    await act(admin, "block", person.id)
    assert (await admin.client.get(item.headers["location"])).status_code == 200
