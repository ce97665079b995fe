"""Shows the list of a user's sessions, and how sessions are ended from another device."""

from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from backstay.testing import FrozenClock, Login, Person
from tests.features.steps import AUTH, ME, is_signed_in, refresh
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

SESSIONS = f"{AUTH}/sessions"


async def open_for(client: httpx.AsyncClient, *people: Person) -> list[bool]:
    """Whether each session is still open; asserts that access and refresh token agree."""
    states = [await is_signed_in(client, person.tokens["access_token"]) for person in people]
    answers = [await refresh(client, person.tokens["refresh_token"]) for person in people]
    assert [answer.status_code == 200 for answer in answers] == states
    return states


async def test_sessions_are_listed_last_used_first(login: Login, clock: FrozenClock) -> None:
    one = await login("admin")
    clock.forward(seconds=300)
    two = await login("admin")
    clock.forward(seconds=60)
    await refresh(two.client, one.tokens["refresh_token"])
    await login()
    listed = (await two.client.get(SESSIONS)).json()["items"]
    assert [session["id"] for session in listed] == [
        one.tokens["session_id"],
        two.tokens["session_id"],
    ]
    assert [session["current"] for session in listed] == [False, True]
    assert set(listed[0]) == {
        "id",
        "device",
        "address",
        "created_at",
        "last_used_at",
        "expires_at",
        "shared_at",
        "current",
        "impersonated_by",
    }
    assert listed[0]["address"] == "192.0.2.1"
    assert listed[0]["device"].startswith("python-httpx/")
    assert listed[0]["created_at"] < listed[0]["last_used_at"]


async def test_the_last_use_is_shown_in_steps_of_five_minutes(
    login: Login, clock: FrozenClock
) -> None:
    person = await login()
    for passed, told in ((299, 0), (2, 300), (298, 300), (2, 600)):
        clock.forward(seconds=passed)
        token = person.tokens["refresh_token"]
        person.tokens = (await refresh(person.client, token)).json()
        (shown,) = (await person.client.get(SESSIONS)).json()["items"]
        used, begun = (datetime.fromisoformat(shown[f"{n}_at"]) for n in ("last_used", "created"))
        assert used - begun == timedelta(seconds=told)
        export = (await person.client.get(f"{ME}/export")).json()
        assert export["data"]["sessions"][0]["last_used_at"] == shown["last_used_at"]


async def test_one_session_is_ended(login: Login, client: httpx.AsyncClient) -> None:
    here, there, elsewhere = [await login("admin") for _ in range(3)]
    answer = await here.client.delete(f"{SESSIONS}/{there.tokens['session_id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await open_for(client, here, there, elsewhere) == [True, False, True]


async def test_the_other_sessions_are_ended(login: Login, client: httpx.AsyncClient) -> None:
    here, there, elsewhere = [await login("admin") for _ in range(3)]
    stranger = await login()
    assert (await here.client.delete(SESSIONS)).status_code == 204
    states = await open_for(client, here, there, elsewhere, stranger)
    assert states == [True, False, False, True]


async def test_all_sessions_are_ended(login: Login, client: httpx.AsyncClient) -> None:
    here, there, stranger = await login("admin"), await login("admin"), await login()
    answer = await here.client.delete(SESSIONS, params={"all": "true"})
    assert answer.status_code == 204
    assert await open_for(client, here, there, stranger) == [False, False, True]


async def test_the_session_of_another_user_is_not_found(
    login: Login, client: httpx.AsyncClient
) -> None:
    admin, user = await login("admin"), await login()
    for mine, theirs in ((admin, user), (user, admin)):
        answer = await mine.client.delete(f"{SESSIONS}/{theirs.tokens['session_id']}")
        problem(answer, 404, "not_found")
    assert await open_for(client, admin, user) == [True, True]


async def test_an_unknown_session_is_not_found(login: Login) -> None:
    person = await login()
    problem(await person.client.delete(f"{SESSIONS}/{uuid4()}"), 404, "not_found")
    problem(await person.client.delete(f"{SESSIONS}/1"), 422, "validation_error")
    problem(await person.client.delete(SESSIONS, params={"user_id": person.id}), 422)


async def test_a_session_ends_once(login: Login) -> None:
    here, there = await login("admin"), await login("admin")
    path = f"{SESSIONS}/{there.tokens['session_id']}"
    assert (await here.client.delete(path)).status_code == 204
    problem(await here.client.delete(path), 404)


async def test_strangers_see_no_sessions(client: httpx.AsyncClient) -> None:
    problem(await client.get(SESSIONS), 401, "auth_error")
    problem(await client.delete(SESSIONS), 401, "auth_error")
    problem(await client.delete(f"{SESSIONS}/{uuid4()}"), 401, "auth_error")


@pytest.mark.parametrize("path", [SESSIONS, f"{SESSIONS}?all=true", f"{SESSIONS}/{{id}}"])
async def test_conditional_requests_work_on_resources_without_an_etag(
    login: Login, path: str
) -> None:
    one, two = await login("admin"), await login("admin")
    target = path.format(id=two.tokens["session_id"])
    answer = await one.client.delete(target, headers={"If-None-Match": "*"})
    problem(answer, 412, "precondition_failed")
    assert all(await open_for(one.client, one, two))
    missing = f"{SESSIONS}/{uuid4()}"
    answer = await one.client.delete(missing, headers={"If-None-Match": "*"})
    problem(answer, 404, "not_found")
    answer = await one.client.delete(target, headers={"If-None-Match": '"a"'})
    assert answer.status_code == 204
