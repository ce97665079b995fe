"""Shows that counters of limits tell what was counted, count nothing, and are not for everybody."""

from typing import Any

import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.steps import API, ME
from tests.features.tiers.conftest import MakeTier, add_limit
from tests.services.valkey import ValkeyServer
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

USERS = f"{API}/users"
NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "50"}


async def counters(admin: Person, person: Person) -> dict[str, Any]:
    answer = await admin.client.get(f"{USERS}/{person.id}/limits")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def used(shown: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(each["path"], each["used"], each["remaining"]) for each in shown["items"]]


@pytest.fixture
async def ada(admin: Person, login: Login, make_tier: MakeTier) -> Person:
    """A user in the tier `pro`, with a rule for the own profile."""
    person = await login()
    await make_tier("pro", person)
    await add_limit(admin, "pro", ME, 7, period=3600)
    return person


async def test_each_rule_tells_what_is_used(admin: Person, ada: Person) -> None:
    assert used(await counters(admin, ada)) == [(ME, 0, 7), ("*", 0, 50)]
    for _ in range(3):
        await ada.client.get(ME)
    await ada.client.get(f"{API}/auth/sessions")
    shown = await counters(admin, ada)
    assert used(shown) == [(ME, 3, 4), ("*", 1, 49)] == used(await counters(admin, ada))
    assert (shown["tier"], shown["of_process"]) == ("pro", True)
    own, default = shown["items"]
    assert (own["limit"], own["period"], default["limit"], default["period"]) == (7, 3600, 50, 60)
    assert 3 * 3600 / 7 - 60 < own["reset_after"] <= 3 * 3600 / 7 + 1
    assert 0 < default["reset_after"] <= 2


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_only_who_may_sees_the_counters_of_others(
    ada: Person, login: Login, backstay: Backstay
) -> None:
    problem(await ada.client.get(f"{USERS}/{ada.id}/limits"), 403)
    eve = await login()
    await grant(backstay, eve.id, "limits:read", Scope.OWN)
    assert used(await counters(eve, eve))[0][0] == "*"
    problem(await eve.client.get(f"{USERS}/{ada.id}/limits"), 403)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nobody_has_no_counters(admin: Person) -> None:
    problem(await admin.client.get(f"{USERS}/{NOBODY}/limits"), 404)


@pytest.mark.parametrize("database_kind", ["sqlite"])
class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "false"}

    async def test_without_limits_there_is_nothing_to_tell(
        self, admin: Person, ada: Person
    ) -> None:
        assert await counters(admin, ada) == {"tier": "pro", "of_process": False, "items": []}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("database_kind", ["sqlite"])
class TestOnRedis:
    @pytest.fixture
    def variables(self, valkey: ValkeyServer) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "REDIS_URL": valkey.url}

    async def test_all_processes_count_together(self, admin: Person, ada: Person) -> None:
        await ada.client.get(ME)
        shown = await counters(admin, ada)
        assert used(shown)[0] == (ME, 1, 6)
        assert shown["of_process"] is False
