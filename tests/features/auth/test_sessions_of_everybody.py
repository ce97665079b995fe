"""Shows the list of everybody's sessions and devices, and how one session is ended."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.testing import PASSWORD, FrozenClock, Login, Person
from tests.features.granting import grant
from tests.features.steps import API, AUTH, is_signed_in
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True),
]
SESSIONS = f"{API}/sessions"


async def listed(person: Person, **query: str) -> list[dict[str, Any]]:
    answer = await person.client.get(SESSIONS, params=query)
    assert answer.status_code == 200, answer.text
    assert "hash" not in answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def ids(sessions: list[dict[str, Any]]) -> list[str]:
    return [session["user_id"] for session in sessions]


async def test_live_sessions_are_listed_newest_first(login: Login, clock: FrozenClock) -> None:
    admin = await login("admin")
    clock.forward(seconds=10)
    ann, ben = await login(), await login()
    assert ids(await listed(admin)) == [ben.id, ann.id, admin.id]
    page = (await admin.client.get(SESSIONS, params={"limit": "2"})).json()
    assert ids(page["items"]) == [ben.id, ann.id]
    assert ids(await listed(admin, limit="2", cursor=page["next_cursor"])) == [admin.id]
    await ben.client.delete(f"{AUTH}/sessions?all=true")
    await admin.client.post(f"{API}/users/{ann.id}/block")
    assert ids(await listed(admin)) == [admin.id]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ({"address": "192.0.2.1"}, True),
        ({"address__contains": "198.51"}, False),
        ({"device__contains": "HTTPX"}, True),
        ({"device": "netscape"}, False),
        ({"created_at__lte": "2020-01-01T00:00:00Z"}, False),
        ({"last_used_at": "{today}"}, True),
        ({"last_used_at__gt": "{today}"}, False),
        ({"user_id": "{user}"}, True),
    ],
)
async def test_sessions_are_filtered(
    login: Login, clock: FrozenClock, query: dict[str, str], is_found: bool
) -> None:
    admin, person = await login("admin"), await login()
    known = {"today": f"{clock.now:%Y-%m-%d}", "user": person.id}
    asked = {name: value.format(**known) for name, value in query.items()}
    assert (person.id in ids(await listed(admin, **asked))) is is_found


async def test_the_last_use_is_asked_for_by_days_alone(login: Login) -> None:
    admin = await login("admin")
    query = {"last_used_at__gte": "2026-01-01T12:34:00Z"}
    problem(await admin.client.get(SESSIONS, params=query), 422)
    problem(await admin.client.get(SESSIONS, params={"sort": "last_used_at"}), 422)


async def test_sessions_of_higher_levels_are_hidden(login: Login, backstay: Backstay) -> None:
    admin, support, peer, chief, person = [
        await login("admin"), await login(), await login(), await login(), await login(),
    ]  # fmt: skip
    await grant(backstay, support.id, "sessions:list", level=10)
    await grant(backstay, peer.id, "sessions:list", level=10)
    await grant(backstay, chief.id, "users:list", level=11)
    assert set(ids(await listed(support))) == {support.id, peer.id, person.id}
    for other in (admin, chief):
        assert await listed(support, user_id=other.id) == []
        problem(await support.client.get(f"{API}/users/{other.id}/sessions"), 403)
    everybody = {each.id for each in (admin, support, peer, chief, person)}
    assert set(ids(await listed(admin))) == everybody


async def test_own_scope_shows_own_sessions(login: Login, backstay: Backstay) -> None:
    person, stranger = await login(), await login()
    problem(await stranger.client.get(SESSIONS), 403, "forbidden")
    await grant(backstay, person.id, "sessions:list", Scope.OWN)
    assert ids(await listed(person)) == [person.id]
    assert await listed(person, user_id=stranger.id) == []


async def test_one_session_of_a_user_is_ended(login: Login, client: httpx.AsyncClient) -> None:
    admin, person = await login("admin"), await login()
    sessions = f"{API}/users/{person.id}/sessions"
    for session_id in (str(uuid4()), admin.tokens["session_id"]):
        problem(await admin.client.delete(f"{sessions}/{session_id}"), 404, "not_found")
    path = f"{sessions}/{person.tokens['session_id']}"
    problem(await person.client.delete(path), 403, "forbidden")
    assert (await admin.client.delete(path)).status_code == 204
    assert not await is_signed_in(client, person.tokens["access_token"])
    assert await is_signed_in(client, admin.tokens["access_token"])
    problem(await admin.client.delete(path), 404, "not_found")


async def test_only_a_higher_level_ends_a_session(login: Login, backstay: Backstay) -> None:
    support, peer = await login(), await login()
    for person in (support, peer):
        await grant(backstay, person.id, "sessions:end", level=10)
    path = f"{API}/users/{peer.id}/sessions/{peer.tokens['session_id']}"
    problem(await support.client.delete(path), 403, "forbidden")


async def test_devices_of_a_user_are_listed_last_seen_first(
    login: Login, clock: FrozenClock
) -> None:
    person = await login()
    clock.forward(days=2)
    body = {"email": person.email, "password": PASSWORD, "transport": "body"}
    other = {"User-Agent": "another"}
    await person.client.post(f"{AUTH}/login", json=body, headers=other)
    admin = await login("admin")
    answer = await admin.client.get(f"{API}/users/{person.id}/devices")
    assert answer.status_code == 200
    newest, oldest = answer.json()["items"]
    assert set(newest) == {"id", "first_seen_at", "last_seen_at"}
    assert newest["first_seen_at"] > oldest["last_seen_at"]
