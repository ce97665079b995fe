"""Shows that the use of a copied refresh token by another client is noticed."""

from collections import Counter
from typing import Any

import anyio
import httpx
import pytest

from backstay.composition import Backstay
from backstay.features.auth.commands import refresh as refresh_commands
from backstay.testing import FrozenClock, Login
from tests.features.steps import AUTH, bearer, is_signed_in, session_row
from tests.logs import logged
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

OWN, OTHER = "Browser/1.0", "Thief/1.0"


async def refresh_as(
    client: httpx.AsyncClient, agent: str, token: str, **fields: Any
) -> httpx.Response:
    body = {"refresh_token": token, **fields}
    return await client.post(f"{AUTH}/refresh", json=body, headers={"user-agent": agent})


async def shared_at(client: httpx.AsyncClient, tokens: dict[str, Any]) -> str | None:
    """The time at which the session was marked as shared, as its owner sees it."""
    listed = await client.get(f"{AUTH}/sessions", headers=bearer(tokens["access_token"]))
    (shown,) = [s for s in listed.json()["items"] if s["id"] == tokens["session_id"]]
    marked: str | None = shown["shared_at"]
    return marked


async def owned(login: Login, client: httpx.AsyncClient, clock: FrozenClock) -> dict[str, Any]:
    """The tokens of a session that its owner's client has rotated."""
    person = await login()
    own = await refresh_as(client, OWN, person.tokens["refresh_token"])
    clock.forward(seconds=900)
    tokens: dict[str, Any] = own.json()
    return tokens


@pytest.mark.parametrize("told_by", ["agent", "fingerprint"])
async def test_a_copy_gets_the_one_successor_and_is_marked(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, told_by: str
) -> None:
    tokens = await owned(login, client, clock)
    first = tokens["refresh_token"]
    own = await refresh_as(client, OWN, first)
    assert await shared_at(client, own.json()) is None
    other = (OTHER, {}) if told_by == "agent" else (OWN, {"fingerprint": "another"})
    with logged(refresh_commands) as lines:
        answers = [await refresh_as(client, other[0], first, **other[1]) for _ in range(2)]
    assert {a.json()["refresh_token"] for a in (own, *answers)} == {own.json()["refresh_token"]}
    assert await shared_at(client, own.json()) is not None
    assert [line["event"] for line in lines] == ["refresh_token_copied"] * 2
    assert first not in repr(lines)
    clock.forward(seconds=900)
    assert (await refresh_as(client, OWN, own.json()["refresh_token"])).status_code == 200


async def test_the_same_client_is_no_copy_wherever_it_is(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    tokens = await owned(login, client, clock)
    answers: list[httpx.Response] = []

    async def one() -> None:
        answers.append(await refresh_as(client, OWN, tokens["refresh_token"]))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(one)
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert await shared_at(client, answers[0].json()) is None


@pytest.mark.parametrize("seen", [True, False], ids=["copy seen", "within a minute"])
async def test_two_clients_that_rotate_in_turn_end_the_session(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock, seen: bool
) -> None:
    tokens = await owned(login, client, clock)
    if seen:
        taken = (await refresh_as(client, OWN, tokens["refresh_token"])).json()
        await refresh_as(client, OTHER, tokens["refresh_token"])
        clock.forward(seconds=900)
        taken = (await refresh_as(client, OTHER, taken["refresh_token"])).json()
        clock.forward(seconds=900)
    else:
        taken = (await refresh_as(client, OWN, tokens["refresh_token"])).json()
        taken = (await refresh_as(client, OTHER, taken["refresh_token"])).json()
    problem(await refresh_as(client, OWN, taken["refresh_token"]), 401, "auth_error")
    problem(await refresh_as(client, OTHER, taken["refresh_token"]), 401, "auth_error")
    assert not await is_signed_in(client, taken["access_token"])
    assert (await session_row(backstay, tokens["session_id"])).end_reason == "shared"


async def test_two_clients_that_share_what_they_keep_stay_signed_in(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    """Such as an application and its web views, or one browser with desktop and mobile pages."""
    tokens = await owned(login, client, clock)
    for agent in (OWN, OTHER) * 3:
        clock.forward(seconds=900)
        tokens = (await refresh_as(client, agent, tokens["refresh_token"])).json()
    assert await shared_at(client, tokens) is None


async def test_a_client_that_is_updated_stays_signed_in(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    tokens = await owned(login, client, clock)
    for version in range(2, 6):
        agent = f"Browser/{version}.0"
        for _ in range(2):
            clock.forward(seconds=900)
            tokens = (await refresh_as(client, agent, tokens["refresh_token"])).json()
    assert await shared_at(client, tokens) is None
