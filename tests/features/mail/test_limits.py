"""Shows how often the routes of mail may be used from one address."""

import httpx
import pytest

from backstay.testing import Login
from tests.features.mail.post import forgot, reset, verify
from tests.features.steps import AUTH, OTHER_PASSWORD
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true"}


async def test_an_address_asks_at_most_three_times_a_minute(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await forgot(client, "ada@example.org")
    answer = await client.post(f"{AUTH}/password/forgot", json={"email": "eve@example.org"})
    problem(answer, 429, "rate_limited")
    page = await client.post("/forgot-password", data={"email": "eve@example.org"})
    problem(page, 429, "rate_limited")


async def test_an_address_tries_at_most_ten_tokens_a_minute(client: httpx.AsyncClient) -> None:
    resets = [await reset(client, "x", OTHER_PASSWORD) for _ in range(11)]
    verifications = [await verify(client, "x") for _ in range(11)]
    for answers in (resets, verifications):
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]


async def test_mails_sent_again_count_too(login: Login) -> None:
    person = await login()
    answers = [await person.client.post(f"{AUTH}/email/verify/resend") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [202] * 10 + [429]
