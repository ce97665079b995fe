"""The limits of the guide "Caching and limits" work as it is written."""

import pytest

from backstay.testing import Login
from tests.features.steps import needs
from tests.guides import follow_steps, page

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite"]),
    needs("items"),
    needs("tiers"),
]


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true"}


async def test_the_tier_of_the_guide_limits(login: Login) -> None:
    admin, user = await login("admin"), await login()
    clients = {"admin": admin.client, "user": user.client, "user_id": user.id}
    names = await follow_steps(page("caching-and-limits"), **clients)
    answers = names["answers"]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit"] == '"/api/v1/items*";r=2;t=20'
    assert 1 <= int(answers[3].headers["retry-after"]) <= 20
