"""Shows how the rate limits of a tier are set, and which paths they may name."""

import re

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.composition import Backstay
from backstay.features.tiers.commands.rate_limits import CreateRateLimit
from backstay.testing import Login, Person
from tests.examples import examples
from tests.features.granting import grant
from tests.features.steps import API, ME
from tests.features.tiers.conftest import TIERS, MakeTier, add_limit
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

LIMITS = f"{TIERS}/free/rate-limits"
YEAR = 31_536_000
PROBLEMATIC = [
    "",
    "*",
    "users",
    "https://example.org/api",
    f"{API}/users/me/",
    f"{API}/users/{{user_id}}",
    f"{API}/users/01890a5d-ac96-774b-bcce-b302099a8057",
    f"{API}/nowhere",
    f"{API}/nowhere*",
    f"{API}/auth/login",
    f"{API}/auth/log*",
    "/livez",
    f"{API}/*/me",
    f"{API}/users**",
    f'{API}/users"*',
    f"{API}/users\\*",
    f"{API}/us ers",
    f"{API}/é*",
    "/" + "a" * 300,
]


async def test_a_rate_limit_is_made_found_changed_and_deleted(admin: Person) -> None:
    client = admin.client
    body = {"path": ME, "limit": 5, "period": 60, "name": "profile"}
    made = await client.post(LIMITS, json=body)
    assert made.status_code == 201
    path = made.headers["location"]
    assert path == f"{LIMITS}/{made.json()['id']}"
    assert made.json().items() >= {**body, "tier": "free"}.items()
    found = await client.get(path)
    assert (found.json(), found.headers["etag"]) == (made.json(), made.headers["etag"])
    stale = {"If-Match": found.headers["etag"]}
    changed = await client.patch(path, json={"limit": 6, "path": f"{API}/*"}, headers=stale)
    assert changed.json().items() >= {"limit": 6, "period": 60, "path": f"{API}/*"}.items()
    problem(await client.patch(path, json={"limit": 7}, headers=stale), 412)
    problem(await client.delete(path, headers=stale), 412)
    page = (await client.get(f"{LIMITS}?sort=path&q=API")).json()
    assert [(each["path"], each["limit"]) for each in page["items"]] == [(f"{API}/*", 6)]
    assert (await client.delete(path)).status_code == 204
    problem(await client.get(path), 404)
    assert (await client.get(LIMITS)).json()["total"] == 0


async def test_a_tier_has_one_rate_limit_per_path(admin: Person, make_tier: MakeTier) -> None:
    await make_tier("pro")
    for tier in ("free", "pro"):
        await add_limit(admin, tier, ME, 5)
    body = {"path": ME, "limit": 6, "period": 60}
    problem(await admin.client.post(LIMITS, json=body), 409, "tiers.rate_limit_exists")
    other = await add_limit(admin, "free", f"{API}/users", 5)
    moved = await admin.client.patch(f"{LIMITS}/{other['id']}", json={"path": ME})
    problem(moved, 409, "tiers.rate_limit_exists")


async def test_of_two_concurrent_limits_for_a_path_one_succeeds(admin: Person) -> None:
    answers: list[httpx.Response] = []

    async def make() -> None:
        body = {"path": ME, "limit": 6, "period": 60}
        answers.append(await admin.client.post(LIMITS, json=body))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(make)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_a_rate_limit_is_reached_through_its_own_tier_only(
    admin: Person, make_tier: MakeTier
) -> None:
    await make_tier("pro")
    limit = await add_limit(admin, "free", ME, 5)
    elsewhere = f"{TIERS}/pro/rate-limits/{limit['id']}"
    problem(await admin.client.get(elsewhere), 404)
    problem(await admin.client.patch(elsewhere, json={"limit": 1}), 404)
    problem(await admin.client.delete(elsewhere), 404)
    problem(await admin.client.get(f"{TIERS}/nobodys/rate-limits"), 404)
    body = {"path": ME, "limit": 1, "period": 1}
    problem(await admin.client.post(f"{TIERS}/nobodys/rate-limits", json=body), 404)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_path_must_name_a_route(admin: Person) -> None:
    for path in PROBLEMATIC:
        refused = await admin.client.post(LIMITS, json={"path": path, "limit": 1, "period": 1})
        assert fields_of(problem(refused, 422)).keys() == {"path"}, path
        assert "nowhere" not in refused.json()["errors"][0]["message"]
    for path in ("/*", f"{API}/*", f"{API}/users*", f"{API}/users/{{id}}", f"{API}/users/{{id}}/*"):
        await add_limit(admin, "free", path, 1000)
    limit = await add_limit(admin, "free", ME, 1000)
    refused = await admin.client.patch(f"{LIMITS}/{limit['id']}", json={"path": f"{API}/nowhere"})
    message = problem(refused, 422)["errors"][0]["message"]
    assert f"{API}/users/{{id}}" in message


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_rate_is_possible(admin: Person) -> None:
    faulty: list[tuple[str, object]] = [
        *(("limit", value) for value in (0, -1, 10**10, None, 1.5)),
        *(("period", value) for value in (0, 10**9, "soon")),
        ("name", ""),
        ("tier", "pro"),
    ]
    for field, value in faulty:
        body = {"path": ME, "limit": 1, "period": 1, field: value}
        refused = await admin.client.post(LIMITS, json=body)
        assert fields_of(problem(refused, 422)).keys() == {field}


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nobody_but_a_superuser_loosens_their_own_limits(
    login: Login, backstay: Backstay, admin: Person, make_tier: MakeTier
) -> None:
    person = await login()
    await grant(backstay, person.id, "tiers:update")
    limit = await add_limit(admin, "free", ME, 100)
    body = {"path": f"{API}/*", "limit": 10**9, "period": 1}
    problem(await person.client.post(LIMITS, json=body), 403, "forbidden")
    path = f"{LIMITS}/{limit['id']}"
    problem(await person.client.patch(path, json={"limit": 10**9}), 403, "forbidden")
    problem(await person.client.delete(path), 403, "forbidden")
    await make_tier("pro")
    await add_limit(person, "pro", ME, 10**9)


paths = st.text(max_size=12).map(lambda text: f"/{text}") | st.text(
    st.sampled_from('/*{}"\\ aé\0%\n'), max_size=12
).map(lambda text: f"{API}/users{text}")


@examples()
@given(paths)
def test_whatever_path_is_accepted_can_stand_in_a_header(path: str) -> None:
    try:
        accepted = CreateRateLimit(tier="free", path=path, limit=1, period=1).path
    except ValueError:
        assert not re.fullmatch(r"/[a-z/{}]*", path)
        return
    assert re.fullmatch(r"/[!-~]*", accepted)
    assert not set(accepted) & set('"\\')
    assert "*" not in accepted[:-1]


class TestCounted:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true"}

    @pytest.mark.parametrize(
        ("limit", "period"), [(10**9, 1), (10**9, 31_536_000), (1, 31_536_000)]
    )
    async def test_the_largest_limits_can_be_counted(
        self, admin: Person, login: Login, limit: int, period: int
    ) -> None:
        person = await login()
        await add_limit(admin, "free", ME, limit, period)
        answer = await person.client.get(ME)
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-limit"] == str(limit)

    async def test_larger_ones_are_refused(self, admin: Person) -> None:
        for limit, period in ((10**9 + 1, 1), (1, YEAR + 1), (10**30, 1), (1, 10**30)):
            body = {"path": ME, "limit": limit, "period": period}
            problem(await admin.client.post(LIMITS, json=body), 422, "validation_error")
