"""Shows that refresh tokens rotate, that concurrent use is tolerated and theft ends the session."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from sqlalchemy import update

from backstay.composition import Backstay
from backstay.features.auth.model import Session
from backstay.security.refresh_tokens import MAX_WALK
from backstay.testing import FrozenClock, Login
from tests.features.steps import AUTH, bearer, execute, is_signed_in, refresh, session_row
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

WEEK, MONTH = 7 * 86400, 30 * 86400


async def at_once(client: httpx.AsyncClient, tokens: list[str]) -> list[httpx.Response]:
    """Refresh with every one of these tokens at the same time."""
    answers: list[httpx.Response] = []

    async def one(token: str) -> None:
        answers.append(await refresh(client, token))

    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(one, token)
    return answers


def altered(token: str, at: int) -> str:
    """The token with one bit of one byte flipped."""
    raw = bytearray(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at] ^= 1
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_fifty_refreshes_of_one_token_agree(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    tokens = (await login()).tokens
    answers = await at_once(client, [tokens["refresh_token"]] * 50)
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert successor != tokens["refresh_token"]
    assert (await session_row(backstay, tokens["session_id"])).generation == 1
    clock.forward(seconds=60)
    assert (await refresh(client, successor)).status_code == 200


async def test_concurrent_refreshes_of_two_generations_all_succeed(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    tokens = (await login()).tokens
    first = tokens["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]
    clock.forward(seconds=3)
    answers = await at_once(client, [first, second] * 25)
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert (await session_row(backstay, tokens["session_id"])).generation == 2
    third = (await refresh(client, second)).json()["refresh_token"]
    assert {answer.json()["refresh_token"] for answer in answers} <= {second, third}


async def test_a_late_refresh_within_the_window_stays_signed_in(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    first = (await login()).tokens["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]
    clock.forward(seconds=2)
    third = (await refresh(client, second)).json()["refresh_token"]
    clock.forward(seconds=2)
    late = (await refresh(client, first)).json()["refresh_token"]
    assert late == third
    clock.forward(seconds=900)
    assert (await refresh(client, late)).status_code == 200


async def test_a_token_used_again_later_ends_the_session(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    stolen = (await login()).tokens
    current = (await refresh(client, stolen["refresh_token"])).json()
    clock.forward(seconds=10.5)
    problem(await refresh(client, stolen["refresh_token"]), 401, "auth_error")
    problem(await refresh(client, current["refresh_token"]), 401, "auth_error")
    assert not await is_signed_in(client, current["access_token"])
    assert not await is_signed_in(client, stolen["access_token"])
    assert (await session_row(backstay, stolen["session_id"])).end_reason == "reuse"


async def test_a_much_older_token_ends_the_session_too(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    stolen = (await login()).tokens
    current = stolen
    for _ in range(5):
        current = (await refresh(client, current["refresh_token"])).json()
        clock.forward(seconds=900)
    problem(await refresh(client, stolen["refresh_token"]), 401)
    problem(await refresh(client, current["refresh_token"]), 401)


async def age_by(backstay: Backstay, session_id: str, generations: int) -> None:
    """Set the number of rotations of a session."""
    aged = update(Session).where(Session.id == UUID(session_id))
    values = {"generation": Session.generation + generations, "token_hash": b"x" * 32}
    await execute(backstay, aged.values(**values, rotations=[]))


@pytest.mark.parametrize("generations", [4096, 4097, 1_000_000])
async def test_a_token_of_any_age_ends_its_session_when_reused(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, generations: int
) -> None:
    stolen = (await login()).tokens
    await age_by(backstay, stolen["session_id"], generations)
    problem(await refresh(client, stolen["refresh_token"]), 401, "auth_error")
    assert (await session_row(backstay, stolen["session_id"])).end_reason == "reuse"
    assert not await is_signed_in(client, stolen["access_token"])


async def test_a_token_of_any_age_signs_out(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    tokens = (await login()).tokens
    await age_by(backstay, tokens["session_id"], 5000)
    answer = await client.post(f"{AUTH}/logout", json={"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 204
    assert (await session_row(backstay, tokens["session_id"])).end_reason == "logout"


def unsealed(token: str) -> str:
    """The token in the old format, without a seal."""
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return urlsafe_b64encode(raw[:52]).rstrip(b"=").decode()


async def test_a_token_of_the_old_format_gets_a_new_successor(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    tokens = (await login()).tokens
    former = unsealed(tokens["refresh_token"])
    assert len(former) == 70
    successors = [(await refresh(client, former)).json()["refresh_token"] for _ in range(2)]
    assert len(set(successors)) == 1
    assert len(successors[0]) == 91
    clock.forward(seconds=60)
    assert (await refresh(client, successors[0])).status_code == 200
    clock.forward(seconds=60)
    problem(await refresh(client, former), 401, "auth_error")
    assert (await session_row(backstay, tokens["session_id"])).end_reason == "reuse"


async def test_very_old_tokens_of_the_old_format_are_unknown(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    tokens = (await login()).tokens
    await age_by(backstay, tokens["session_id"], MAX_WALK + 1)
    problem(await refresh(client, unsealed(tokens["refresh_token"])), 401, "auth_error")
    assert (await session_row(backstay, tokens["session_id"])).end_reason is None


async def test_a_token_from_a_rolled_back_rotation_is_refused(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    tokens = (await login()).tokens
    successor = (await refresh(client, tokens["refresh_token"])).json()["refresh_token"]
    await age_by(backstay, tokens["session_id"], -1)
    problem(await refresh(client, successor), 401, "auth_error")


async def test_a_session_can_be_refreshed_only_so_often(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    token = (await login()).tokens["refresh_token"]
    for _ in range(30):
        token = (await refresh(client, token)).json()["refresh_token"]
        clock.forward(seconds=1)
    refused = await refresh(client, token)
    problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "30"
    clock.forward(seconds=30)
    assert (await refresh(client, token)).status_code == 200


async def test_ending_one_session_leaves_the_others_alone(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock
) -> None:
    stolen, bystander = await login("admin"), await login("admin")
    await refresh(client, stolen.tokens["refresh_token"])
    clock.forward(seconds=60)
    problem(await refresh(client, stolen.tokens["refresh_token"]), 401)
    assert (await refresh(client, bystander.tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("at", [0, 15, 16, 19, 20, 51, 52, 67], ids=lambda at: f"byte{at}")
async def test_a_forged_token_ends_nothing(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, at: int
) -> None:
    tokens = (await login()).tokens
    live = (await refresh(client, tokens["refresh_token"])).json()
    clock.forward(seconds=60)
    problem(await refresh(client, altered(live["refresh_token"], at)), 401, "auth_error")
    problem(await refresh(client, altered(tokens["refresh_token"], at)), 401, "auth_error")
    assert (await refresh(client, live["refresh_token"])).status_code == 200


async def test_only_hashes_are_stored(
    login: Login, client: httpx.AsyncClient, backstay: Backstay
) -> None:
    tokens = (await login()).tokens
    raw = urlsafe_b64decode(tokens["refresh_token"] + "==")
    row = await session_row(backstay, tokens["session_id"])
    assert raw[-32:] not in bytes(row.token_hash)
    assert tokens["refresh_token"] not in repr(row)


async def test_an_unused_session_ends_after_a_week(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    used, unused = (await login("admin")).tokens, (await login("admin")).tokens
    clock.forward(seconds=WEEK - 1)
    used = (await refresh(client, used["refresh_token"])).json()
    clock.forward(seconds=2)
    backstay.principals.forget_all()
    problem(await refresh(client, unused["refresh_token"]), 401, "auth_error")
    assert await is_signed_in(client, used["access_token"])
    listed = await client.get(f"{AUTH}/sessions", headers=bearer(used["access_token"]))
    assert [session["id"] for session in listed.json()["items"]] == [used["session_id"]]


async def test_no_session_outlives_a_month(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    tokens: dict[str, Any] = (await login()).tokens
    for _ in range(5):
        clock.forward(seconds=MONTH / 5 - 1)
        tokens = (await refresh(client, tokens["refresh_token"])).json()
    assert await is_signed_in(client, tokens["access_token"])
    clock.forward(seconds=6)
    backstay.principals.forget_all()
    assert not await is_signed_in(client, tokens["access_token"])
    problem(await refresh(client, tokens["refresh_token"]), 401, "auth_error")


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "text", ["x", "é", "a" * 70, "A" * 69, "." * 10, "a.b.c", "=" * 70, "a" * 4096]
)
async def test_garbage_is_no_refresh_token(client: httpx.AsyncClient, text: str) -> None:
    problem(await refresh(client, text), 401, "auth_error")


async def test_a_refresh_without_a_token_is_refused(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [{}, {"json": {}}, {"json": {"refresh_token": None}}, {"json": None}]
    for arguments in bodies:
        problem(await client.post(f"{AUTH}/refresh", **arguments), 401, "auth_error")
    unknown = await client.post(f"{AUTH}/refresh", json={"refresh_token": "x", "user_id": "y"})
    problem(unknown, 422, "validation_error")
