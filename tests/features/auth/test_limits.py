"""Shows how often signing in and staying signed in may be tried, and by whom."""

import httpx
import pytest
from fastapi import FastAPI

from backstay.security import guesses
from backstay.testing import ADMIN_EMAIL, PASSWORD
from tests.features.steps import AUTH, JWKS, client_at, register, sign_in
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

WRONG = {"email": ADMIN_EMAIL, "password": "not the password"}


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true"}


def announced(answer: httpx.Response, name: str, limit: int, period: int = 60) -> int:
    """Assert that an answer carries every header of a limit; return what remains."""
    headers = answer.headers
    remaining, reset = int(headers["x-ratelimit-remaining"]), int(headers["x-ratelimit-reset"])
    assert headers["ratelimit-policy"] == f'"{name}";q={limit};w={period}'
    assert headers["ratelimit"] == f'"{name}";r={remaining};t={reset}'
    assert headers["x-ratelimit-limit"] == str(limit)
    assert 0 <= reset <= period
    return remaining


async def test_the_sixth_login_within_a_minute_is_refused(client: httpx.AsyncClient) -> None:
    for expected in (4, 3, 2, 1, 0):
        answer = await client.post(f"{AUTH}/login", json=WRONG)
        problem(answer, 401, "auth_error")
        assert announced(answer, "login", 5) == expected
    refused = await client.post(f"{AUTH}/login", json={**WRONG, "password": PASSWORD})
    problem(refused, 429, "rate_limited")
    assert announced(refused, "login", 5) == 0
    assert 1 <= int(refused.headers["retry-after"]) <= 12


async def test_successes_count_and_are_announced(client: httpx.AsyncClient) -> None:
    answers = [await sign_in(client, ADMIN_EMAIL) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [announced(answer, "login", 5) for answer in answers] == [4, 3, 2, 1, 0, 0]


async def test_invalid_requests_count_too(client: httpx.AsyncClient) -> None:
    answers = [await client.post(f"{AUTH}/login", json={}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert announced(answers[0], "login", 5) == 4


async def test_another_address_has_a_budget_of_its_own(app: FastAPI) -> None:
    for address in ("198.51.100.1", "198.51.100.2", "2001:db8:1::1", "2001:db8:2::1"):
        async with client_at(app, address) as client:
            answer = await client.post(f"{AUTH}/login", json=WRONG)
            assert announced(answer, "login", 5) == 4


async def test_addresses_of_one_ipv6_network_share_a_budget(app: FastAPI) -> None:
    statuses = []
    for number in range(6):
        async with client_at(app, f"2001:db8::{number + 1}") as client:
            statuses.append((await client.post(f"{AUTH}/login", json=WRONG)).status_code)
    assert statuses == [401] * 5 + [429]


async def test_nobody_chooses_an_address_by_a_header(client: httpx.AsyncClient) -> None:
    statuses = []
    for number in range(6):
        headers = {
            "X-Forwarded-For": f"198.51.100.{number}",
            "Forwarded": f"for=198.51.100.{number}",
            "X-Real-IP": f"198.51.100.{number}",
        }
        answer = await client.post(f"{AUTH}/login", json=WRONG, headers=headers)
        statuses.append(answer.status_code)
    assert statuses == [401] * 5 + [429]


@pytest.mark.parametrize(("path", "name"), [("refresh", "refresh"), ("logout", "logout")])
async def test_refresh_and_logout_are_limited(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    answers = [await client.post(f"{AUTH}/{path}", json={"refresh_token": "x"}) for _ in range(11)]
    assert [announced(answer, name, 10) for answer in answers] == [*range(9, -1, -1), 0]
    assert {answer.status_code for answer in answers[:10]} == {401 if path == "refresh" else 204}
    problem(answers[10], 429, "rate_limited")


async def test_registration_is_limited(client: httpx.AsyncClient) -> None:
    statuses = [
        (await register(client, f"p{number}@example.org", password="short")).status_code
        for number in range(11)
    ]
    assert statuses == [422] * 10 + [429]


async def test_the_limits_are_independent(client: httpx.AsyncClient) -> None:
    for _ in range(6):
        await client.post(f"{AUTH}/login", json=WRONG)
    answer = await client.post(f"{AUTH}/refresh", json={"refresh_token": "x"})
    assert announced(answer, "refresh", 10) == 9
    keys = await client.get(JWKS)
    assert announced(keys, "default", 100) == 99


async def test_an_account_is_slowed_down_but_never_locked(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(guesses, "sleep", sleep)
    for number in range(20):
        async with client_at(app, f"198.51.100.{number}") as attacker:
            problem(await attacker.post(f"{AUTH}/login", json=WRONG), 401)
    assert slept == []
    async with client_at(app, "203.0.113.1") as owner:
        assert (await sign_in(owner, ADMIN_EMAIL)).status_code == 200
        assert slept == [2.0]
        problem(await sign_in(owner, "somebody@example.org"), 401)
        assert slept == [2.0]


class TestByOtherSettings:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "SECURITY_LOGIN_RATE_LIMIT": "2/hour"}

    async def test_the_rate_follows_the_setting(self, client: httpx.AsyncClient) -> None:
        answers = [await client.post(f"{AUTH}/login", json=WRONG) for _ in range(3)]
        assert [announced(answer, "login", 2, 3600) for answer in answers] == [1, 0, 0]
        assert 1700 < int(answers[2].headers["retry-after"]) <= 1800


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "false"}

    async def test_without_limits_nothing_is_refused(self, client: httpx.AsyncClient) -> None:
        answers = [
            await client.post(f"{AUTH}/refresh", json={"refresh_token": "x"}) for _ in range(12)
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert "ratelimit" not in answers[0].headers
