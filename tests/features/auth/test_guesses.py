"""Shows that guesses at an account are counted together, by whichever route and name."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.security import guesses
from backstay.security.guesses import DELAY, FAILURE_RATE, PLACES
from backstay.testing import PASSWORD, Login
from backstay.testing.waiting import eventually
from tests.features.steps import AUTH, ME, bearer, client_at, register, sign_in
from tests.web.environments import STAGING
from tests.web.problems import problem
from tests.web.test_docs import basic

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

EMAIL, WRONG = "ada@example.org", "not the password"
Guess = Callable[[httpx.AsyncClient, str], Coroutine[Any, Any, httpx.Response]]


@pytest.fixture
def variables() -> dict[str, str]:
    return {
        **STAGING,
        "RATE_LIMIT_ENABLED": "true",
        "SECURITY_LOGIN_RATE_LIMIT": "1000/minute",
        "ADMIN_PASSWORD": PASSWORD,
    }


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays of guesses, in seconds."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(guesses, "sleep", sleep)
    return slept


def by(**naming: str) -> Guess:
    async def guess(client: httpx.AsyncClient, password: str) -> httpx.Response:
        return await client.post(f"{AUTH}/login", json={**naming, "password": password})

    return guess


async def by_form(client: httpx.AsyncClient, password: str) -> httpx.Response:
    return await client.post(f"{AUTH}/login", data={"username": EMAIL, "password": password})


async def at_the_docs(client: httpx.AsyncClient, password: str) -> httpx.Response:
    return await client.get("/docs", headers=basic(EMAIL, password))


WAYS = [
    by(email=EMAIL),
    by(email=f"\x1c{EMAIL}"),
    by(email=f"{EMAIL}\x1f"),
    by(login="ADA@EXAMPLE.ORG"),
    by(username="ada"),
    by(login="\x1cAda\x85"),
    by(username="a\x1cda"),
    by_form,
    at_the_docs,
]


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
async def test_every_way_to_name_an_account_counts_and_is_slowed(
    app: FastAPI, client: httpx.AsyncClient, delays: list[float], way: Guess
) -> None:
    await register(client, EMAIL, username="ada")
    for number in range(FAILURE_RATE.limit):
        async with client_at(app, f"198.51.100.{number}") as attacker:
            problem(await way(attacker, f"{WRONG} {number}"), 401, "auth_error")
    assert delays == []
    assert (await sign_in(client, EMAIL)).status_code == 200
    assert delays == [DELAY]
    problem(await way(client, WRONG), 401, "auth_error")
    assert delays == [DELAY] * 2


async def test_names_that_nobody_has_count_in_their_normalised_form(
    client: httpx.AsyncClient, delays: list[float]
) -> None:
    names = ("nobody", "\x1cnobody", "NOBODY", "no\x7fbody")
    for number in range(FAILURE_RATE.limit):
        problem(await by(login=names[number % 4])(client, WRONG), 401)
    assert delays == []
    for name in names:
        problem(await by(login=name)(client, WRONG), 401, "auth_error")
    assert delays == [DELAY] * 4


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{AUTH}/password/change", {"new_password": "a staple of horses"}),
        ("PATCH", ME, {"email": "thief@example.org"}),
        ("DELETE", ME, {}),
    ],
)
async def test_a_stolen_access_token_does_not_speed_up_guessing(
    login: Login, delays: list[float], method: str, path: str, body: dict[str, str]
) -> None:
    person = await login()  # which counts, too
    for number in range(FAILURE_RATE.limit + 1):
        guess = {**body, "current_password": f"{WRONG} {number}"}
        answer = await person.client.request(method, path, json=guess)
        problem(answer, 403, "users.wrong_password")
    assert delays == [DELAY] * 2
    assert (await sign_in(person.client, person.email)).status_code == 200
    assert delays == [DELAY] * 3


async def test_frequent_sign_ins_are_not_slowed(
    client: httpx.AsyncClient, delays: list[float]
) -> None:
    await register(client, EMAIL)
    for _ in range(FAILURE_RATE.limit + 1):
        assert (await sign_in(client, EMAIL)).status_code == 200
    assert delays == []


async def test_many_at_once_of_one_address_are_refused_there_only(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_pass = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await may_pass.wait()

    monkeypatch.setattr(guesses, "sleep", sleep)
    await register(client, EMAIL, username="ada")
    ways = [WAYS[number % len(WAYS)] for number in range(FAILURE_RATE.limit + 20)]
    async with client_at(app, "198.51.100.1") as stranger, client_at(app, "203.0.113.1") as owner:
        theirs = [asyncio.create_task(way(stranger, WRONG)) for way in ways]
        await eventually(lambda: sum(task.done() for task in theirs) == len(theirs) - PLACES)
        mine = asyncio.create_task(sign_in(owner, EMAIL))
        assert not mine.done()
        may_pass.set()
        answer = await mine
        assert answer.status_code == 200
        assert (await owner.get(ME, headers=bearer(answer.json()["access_token"]))).is_success
        answers = await asyncio.gather(*theirs)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 20 - PLACES
    assert {answer.status_code for answer in answers} == {401, 429}
    for answer in refused:
        problem(answer, 429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= DELAY
