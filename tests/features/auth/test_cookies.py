"""Shows which of several refresh cookies counts: a browser sends those of every path."""

import httpx
import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.testing import ADMIN_EMAIL, FrozenClock, Login, Person
from tests.features.auth.test_transports import attributes
from tests.features.steps import AUTH, change_user, client_at, is_signed_in, sign_in
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

GARBAGE = "garbage"


async def send(
    client: httpx.AsyncClient, path: str, *tokens: str, **headers: str
) -> httpx.Response:
    """Send these refresh tokens, each in its own cookie."""
    cookie = "; ".join(f"refresh_token={token}" for token in tokens)
    return await client.post(f"{AUTH}/{path}", headers={"Cookie": cookie, **headers})


def token(person: Person) -> str:
    return str(person.tokens["refresh_token"])


async def test_the_first_cookie_with_a_live_session_is_refreshed(
    login: Login, client: httpx.AsyncClient
) -> None:
    ended, first, second = [await login() for _ in range(3)]
    await send(client, "logout", token(ended))
    for others in ([GARBAGE], [token(ended)], [GARBAGE, token(ended), "", "x" * 5_000]):
        answer = await send(client, "refresh", *others, token(first), token(second))
        assert answer.status_code == 200, answer.text
        assert answer.json()["session_id"] == first.tokens["session_id"]
        assert attributes(answer)["refresh_token"]
    assert (await send(client, "refresh", token(second))).status_code == 200


async def test_the_first_cookie_with_a_live_session_is_signed_out(
    login: Login, client: httpx.AsyncClient
) -> None:
    ended, first, second = [await login() for _ in range(3)]
    await send(client, "logout", token(ended))
    answer = await send(client, "logout", GARBAGE, token(ended), token(first), token(second))
    assert answer.status_code == 204
    assert not await is_signed_in(client, first.tokens["access_token"])
    assert await is_signed_in(client, second.tokens["access_token"])


@pytest.mark.parametrize("path", ["refresh", "logout"])
async def test_a_cookie_of_another_client_hides_no_later_cookie(
    login: Login, client: httpx.AsyncClient, path: str
) -> None:
    """Such as the cookie of a session that is bound to another client's fingerprint."""
    bound, person = await login(fingerprint="another"), await login()
    answer = await send(client, path, token(bound), token(person))
    assert answer.status_code == (200 if path == "refresh" else 204), answer.text
    assert await is_signed_in(client, bound.tokens["access_token"])
    assert await is_signed_in(client, person.tokens["access_token"]) is (path == "refresh")
    problem(await send(client, path, token(bound)), 401, "auth_error")


async def test_a_cookie_of_a_former_password_hides_no_later_cookie(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    reset, person = await login(), await login()
    await change_user(backstay, reset.id, security_epoch=7)
    answer = await send(client, "refresh", token(reset), token(person))
    assert answer.status_code == 200, answer.text


async def test_cookies_in_separate_header_lines_all_count(
    login: Login, client: httpx.AsyncClient
) -> None:
    person = await login()
    lines = [("Cookie", f"refresh_token={GARBAGE}"), ("Cookie", f"refresh_token={token(person)}")]
    answer = await client.post(f"{AUTH}/refresh", headers=lines)
    assert answer.status_code == 200


async def test_an_older_cookie_beside_its_successor_is_not_a_copy(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    person = await login()
    old = token(person)
    newer = (await send(client, "refresh", old)).cookies["refresh_token"]
    for old_is_first in (True, False):
        clock.forward(seconds=60)
        cookies = (old, newer) if old_is_first else (newer, old)
        answer = await send(client, "refresh", *cookies)
        assert answer.status_code == 200, answer.text
        newer = answer.cookies["refresh_token"]
    clock.forward(seconds=60)
    problem(await send(client, "refresh", old), 401)
    problem(await send(client, "refresh", newer), 401)


async def test_at_most_five_cookies_are_tried(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    garbage = [f"{GARBAGE}{number}" for number in range(5)]
    problem(await send(client, "refresh", *garbage, token(person)), 401, "auth_error")
    assert (await send(client, "logout", *garbage, token(person))).status_code == 204
    assert await is_signed_in(client, person.tokens["access_token"])
    assert (await send(client, "refresh", *garbage[1:], token(person))).status_code == 200


async def test_another_site_cannot_use_any_cookie(login: Login, client: httpx.AsyncClient) -> None:
    person, evil = await login(), {"Origin": "https://evil.example"}
    for path in ("refresh", "logout"):
        problem(await send(client, path, GARBAGE, token(person), **evil), 403, "forbidden")
    assert await is_signed_in(client, person.tokens["access_token"])


async def test_the_first_well_formed_device_counts(app: FastAPI) -> None:
    mine, other = "d" * 22, "e" * 22
    async with client_at(app, "192.0.2.1") as client:
        client.headers["Cookie"] = f"device=short; device={mine}; device={other}"
        answer = await sign_in(client, ADMIN_EMAIL, transport="cookie")
    assert attributes(answer, "device")["device"] == mine
