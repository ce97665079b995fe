"""Shows how requests are counted: under which rule, for whom, and from when on."""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest
import structlog

from backstay.composition import Backstay
from backstay.testing import Login, Person
from backstay.web import limits
from tests.features.steps import API, ME, change_user
from tests.features.tiers.conftest import TIERS, MakeTier, add_limit, assign
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

USERS = f"{API}/users"
PING = f"{API}/system/ping"
EXPORT = f"{ME}/export"
Asked = Callable[..., Awaitable[tuple[str, int]]]


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "50"}


async def count(person: Person, path: str = ME, method: str = "GET") -> tuple[str, int]:
    """The policy under which a request is counted, and the remaining budget."""
    answer = await person.client.request(method, path)
    headers = answer.headers
    policy, quota = headers["ratelimit-policy"].split(";")[:2]
    assert quota == f"q={headers['x-ratelimit-limit']}"
    assert headers["ratelimit"].startswith(f"{policy};r={headers['x-ratelimit-remaining']};t=")
    return policy.strip('"'), int(headers["x-ratelimit-remaining"])


@pytest.fixture
async def ada(admin: Person, login: Login, make_tier: MakeTier) -> Person:
    """A user in the tier `pro`."""
    person = await login()
    await make_tier("pro", person)
    return person


async def test_an_exact_path_beats_the_longest_prefix_beats_the_default(
    admin: Person, ada: Person
) -> None:
    assert (await count(ada))[0] == "default"
    for path in ("/*", f"{API}/users/*", ME):
        await add_limit(admin, "pro", path, 30)
        assert await count(ada) == (path, 29)
    assert await count(ada, EXPORT) == (f"{API}/users/*", 28)
    assert await count(ada, f"{API}/auth/sessions") == ("/*", 28)


async def test_a_rule_holds_where_nobody_need_sign_in(admin: Person, ada: Person) -> None:
    await add_limit(admin, "pro", PING, 2)
    assert [await count(ada, PING) for _ in range(2)] == [(PING, 1), (PING, 0)]
    problem(await ada.client.get(PING), 429, "rate_limited")


async def test_a_prefix_or_a_path_is_one_budget_across_methods(admin: Person, ada: Person) -> None:
    await add_limit(admin, "pro", f"{API}/users*", 9)
    await add_limit(admin, "pro", f"{USERS}/{{id}}", 9)
    asked = [await count(ada, path) for path in (ME, EXPORT, USERS)]
    assert asked == [(f"{API}/users*", left) for left in (8, 7, 6)]
    one = f"{USERS}/{ada.id}"
    mixed = [await count(ada, one, method) for method in ("GET", "PATCH", "DELETE")]
    assert mixed == [(f"{USERS}/{{id}}", left) for left in (8, 7, 6)]


async def test_the_default_is_one_budget_per_user(ada: Person, login: Login) -> None:
    await count(ada)
    left = [await count(ada, path) for path in (ME, EXPORT, USERS)]
    assert len({policy for policy, _ in left}) == 1
    assert [remaining for _, remaining in left] == sorted((r for _, r in left), reverse=True)
    other = await login()
    assert await count(other) == ("default", 49)


async def test_too_many_are_refused_until_it_is_time(admin: Person, ada: Person) -> None:
    await add_limit(admin, "pro", ME, 2, period=3600)
    assert [(await ada.client.get(ME)).status_code for _ in range(2)] == [200, 200]
    refused = await ada.client.get(ME)
    problem(refused, 429, "rate_limited")
    assert 1790 < int(refused.headers["retry-after"]) <= 1800
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-policy"] == f'"{ME}";q=2;w=3600'
    assert (await ada.client.get(EXPORT)).status_code == 200


async def test_concurrent_requests_cannot_exceed_the_limit(admin: Person, ada: Person) -> None:
    await add_limit(admin, "pro", ME, 5, period=3600)
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await ada.client.get(ME))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 15


async def test_another_rule_holds_from_the_next_request_on(
    admin: Person, ada: Person, make_tier: MakeTier
) -> None:
    limit = await add_limit(admin, "pro", ME, 1, period=3600)
    path = f"{TIERS}/pro/rate-limits/{limit['id']}"
    assert (await ada.client.get(ME)).status_code == 200
    problem(await ada.client.get(ME), 429)
    assert (await admin.client.patch(path, json={"limit": 7})).status_code == 200
    assert await count(ada) == (ME, 6)
    assert (await admin.client.delete(path)).status_code == 204
    assert (await count(ada))[0] == "default"
    await make_tier("gold")
    await add_limit(admin, "gold", f"{API}/*", 40)
    await assign(admin, ada, "gold")
    assert await count(ada) == (f"{API}/*", 39)
    assert (await admin.client.patch(f"{TIERS}/gold", json={"name": "silver"})).status_code == 200
    assert await count(ada) == (f"{API}/*", 38)


async def test_limits_of_a_tier_do_not_bind_other_users(
    admin: Person, ada: Person, login: Login
) -> None:
    await add_limit(admin, "pro", ME, 1, period=3600)
    eve = await login()
    assert [(await count(eve))[0] for _ in range(3)] == ["default"] * 3


async def test_a_path_without_a_rule_is_logged_once(
    admin: Person, login: Login, backstay: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = await login(), await login()
    await change_user(backstay, eve.id, tier=None)
    await add_limit(admin, "free", f"{API}/tiers*", 5)
    monkeypatch.setattr(limits, "log", structlog.get_logger())
    with structlog.testing.capture_logs() as logs:
        for person in (ada, eve, ada):
            await count(person, EXPORT)
            await count(person, TIERS)
    assert [(each["path"], each["tier"]) for each in logs] == [(EXPORT, "free"), (TIERS, None)]


async def test_the_limits_in_force_are_shown(admin: Person, ada: Person) -> None:
    for path in (ME, "/*"):
        await add_limit(admin, "pro", path, 7)
    told = (await admin.client.get(f"{USERS}/{ada.id}/rate-limits")).json()
    assert told["tier"] == "pro"
    assert [(each["path"], each["limit"], each["period"]) for each in told["items"]] == [
        ("/*", 7, 60),
        (ME, 7, 60),
        ("*", 50, 60),
    ]
    assert told["items"][-1]["name"] == "default"
