"""Shows that signing out ends one session at once and never fails."""

from typing import Any

import httpx
import pytest

from backstay.testing import FrozenClock, Login, Person
from tests.features.steps import AUTH, bearer, is_signed_in, refresh, register, sign_in
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

LOGOUT = f"{AUTH}/logout"


async def is_over(client: httpx.AsyncClient, person: Person) -> bool:
    """Whether neither token of a session is accepted any more."""
    signed_in = await is_signed_in(client, person.tokens["access_token"])
    answer = await refresh(client, person.tokens["refresh_token"])
    assert (answer.status_code == 200) is signed_in
    return not signed_in


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("place", ["body", "header", "cookie"])
async def test_either_token_in_any_place_ends_the_session(
    login: Login, client: httpx.AsyncClient, kind: str, place: str
) -> None:
    leaving, staying = await login("admin"), await login("admin")
    token = leaving.tokens[kind]
    if place == "body":
        answer = await client.post(LOGOUT, json={"refresh_token": token})
    elif place == "header":
        answer = await client.post(LOGOUT, headers=bearer(token))
    else:
        answer = await client.post(LOGOUT, headers={"Cookie": f"refresh_token={token}"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert await is_over(client, leaving)
    assert not await is_over(client, staying)


@pytest.mark.parametrize("garbage", ["garbage", "x" * 5_000])
async def test_the_first_token_that_means_a_session_decides(
    login: Login, client: httpx.AsyncClient, garbage: str
) -> None:
    named, carried = await login("admin"), await login("admin")
    answer = await client.post(
        LOGOUT,
        json={"refresh_token": garbage},
        headers={
            **bearer(named.tokens["access_token"]),
            "Cookie": f"refresh_token={carried.tokens['refresh_token']}",
        },
    )
    assert answer.status_code == 204
    assert await is_over(client, named)
    assert not await is_over(client, carried)


async def test_logout_succeeds_without_a_session(login: Login, client: httpx.AsyncClient) -> None:
    left = await login()
    dead = left.tokens["refresh_token"]
    tried: list[Any] = [
        {"json": {"refresh_token": dead}},
        {"json": {"refresh_token": dead}},
        {"headers": bearer(dead)},
        {"headers": bearer(left.tokens["access_token"])},
        {"headers": bearer("garbage")},
        {"headers": {"Authorization": "Basic Zm9vOmJhcg=="}},
        {"json": {"refresh_token": "a" * 70}},
        {"json": {}},
        {},
    ]
    for arguments in tried:
        assert (await client.post(LOGOUT, **arguments)).status_code == 204


async def test_a_rotated_token_still_signs_out(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    person = await login()
    current = (await refresh(client, person.tokens["refresh_token"])).json()
    clock.forward(seconds=60)
    answer = await client.post(LOGOUT, json={"refresh_token": person.tokens["refresh_token"]})
    assert answer.status_code == 204
    problem(await refresh(client, current["refresh_token"]), 401)


async def test_an_expired_access_token_signs_nobody_out(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    person = await login()
    clock.forward(seconds=900 + 31)
    answer = await client.post(LOGOUT, headers=bearer(person.tokens["access_token"]))
    assert answer.status_code == 204
    assert (await refresh(client, person.tokens["refresh_token"])).status_code == 200


async def test_the_cookie_is_cleared_where_it_was_set(client: httpx.AsyncClient) -> None:
    await register(client, "ada@example.org")
    await sign_in(client, "ada@example.org", transport="cookie")
    answer = await client.post(LOGOUT)
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith('refresh_token="";')
    assert "max-age=0" in cookie
    assert f"path={AUTH};" in f"{cookie};"
