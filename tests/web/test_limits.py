"""Shows which requests are counted, for whom, and the headers that say so."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from backstay.application import create_app
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.rates import Rate
from backstay.features import STANDARD
from backstay.limits.classes import LimitClass
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, client_of
from backstay.web.routes import Routes
from tests.architecture.booting import feature
from tests.features.steps import API, JWKS, ME, client_at
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

NOWHERE = f"{API}/nowhere"
COUNTED = {
    "ratelimit-policy",
    "ratelimit",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
}


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "20"}


def left(answer: httpx.Response) -> int | None:
    """The remaining budget in an answer; None without limit headers."""
    named = COUNTED & answer.headers.keys()
    assert named in (COUNTED, set()), answer.headers
    return int(answer.headers["x-ratelimit-remaining"]) if named else None


async def test_every_counted_answer_has_limit_headers(login: Login) -> None:
    client = (await login()).client
    fresh = await client.get(ME)
    tag = {"If-None-Match": fresh.headers["etag"]}
    answers = [
        (200, fresh),
        (304, await client.get(ME, headers=tag)),
        (403, await client.get(f"{API}/users")),
        (422, await client.get(f"{ME}?x=1")),
        (422, await client.patch(ME, json={"name": 1})),
        (415, await client.patch(ME, content="x", headers={"Content-Type": "text/plain"})),
        (412, await client.patch(ME, json={"name": "Ada"}, headers={"If-Match": '"x"'})),
        (404, await client.get(NOWHERE)),
        (405, await client.put(ME, json={})),
        (404, await client.get(f"{ME}/")),
    ]
    assert [answer.status_code for _, answer in answers] == [status for status, _ in answers]
    remaining = [left(answer) for _, answer in answers]
    assert remaining[0] is not None
    assert remaining == list(range(remaining[0], remaining[0] - len(answers), -1))


async def test_strangers_are_counted_by_address_until_they_are_refused(app: FastAPI) -> None:
    async with client_at(app, "198.51.100.1") as stranger:
        forged = {"Authorization": "Bearer e.y.J"}
        for number in range(20):
            asked = [
                stranger.get(ME),
                stranger.get(NOWHERE, headers=forged),
                stranger.get(JWKS),
                stranger.get(ME, headers=forged),
                stranger.post(JWKS),
            ]
            answer = await asked[number % 5]
            for unasked in asked:
                unasked.close()
            assert left(answer) == 19 - number
        refused = await stranger.get(ME)
        problem(refused, 429, "rate_limited")
        assert left(refused) == 0
        assert 1 <= int(refused.headers["retry-after"]) <= 3
        problem(await stranger.get(NOWHERE), 429)
    async with client_at(app, "198.51.100.2") as other:
        assert left(await other.get(NOWHERE)) == 19


async def test_an_ipv6_network_shares_a_budget(app: FastAPI) -> None:
    for number, address in enumerate(("2001:db8::1", "2001:db8::ffff:1", "2001:db8::2%eth0")):
        async with client_at(app, address) as client:
            assert left(await client.get(NOWHERE)) == 19 - number
    async with client_at(app, "2001:db8:0:1::1") as other:
        assert left(await other.get(NOWHERE)) == 19


async def test_a_user_is_counted_wherever_they_are(app: FastAPI, login: Login) -> None:
    person = await login()
    before = left(await person.client.get(ME)) or 0
    for number in range(1, 4):
        async with client_at(app, f"198.51.100.{number}") as client:
            answer = await client.get(ME, headers=person.client.headers)
            assert left(answer) == before - number


async def test_public_routes_count_a_signed_in_user_as_that_user(
    app: FastAPI, login: Login
) -> None:
    person = await login()
    before = left(await person.client.get(ME)) or 0
    async with client_at(app, "198.51.100.9") as client:
        for number in range(1, 4):
            answer = await client.get(JWKS, headers=person.client.headers)
            assert (answer.status_code, left(answer)) == (200, before - number)
        assert left(await client.get(JWKS, headers={"Authorization": "Bearer e.y.J"})) == 19
        assert left(await client.get(JWKS)) == 18


async def test_probes_documentation_and_preflights_are_not_counted(
    client: httpx.AsyncClient,
) -> None:
    paths = ["/livez", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json"]
    for path in [*paths, "/docs/assets/start.js", "/docs/assets/nothing"] * 3:
        assert left(await client.get(path)) is None
    asking = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
    assert left(await client.options(ME, headers=asking)) is None
    assert left(await client.get(NOWHERE)) == 19


async def test_requests_refused_before_reading_are_not_counted(client: httpx.AsyncClient) -> None:
    large = await client.post(f"{API}/items", content=b"x" * 3_000_000)
    assert (large.status_code, left(large)) == (413, None)


async def test_the_auth_routes_have_limits_of_their_own(client: httpx.AsyncClient) -> None:
    for _ in range(21):
        await client.get(NOWHERE)
    problem(await client.get(NOWHERE), 429)
    body = {"email": "nobody@example.org", "password": "not the password"}
    problem(await client.post(f"{API}/auth/login", json=body), 401)


async def test_a_router_added_by_hand_is_limited(
    settings: Settings, clock: FrozenClock, login: Login
) -> None:
    router = APIRouter()

    @router.get("/by-hand/{name}")
    async def by_hand(name: str) -> str:
        return name

    @router.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    person = await login()
    app = create_app(settings, routers=[router], clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert [left(await client.get(f"/by-hand/{n}")) for n in range(3)] == [19, 18, 17]
        mine = [await client.get("/by-hand/x", headers=person.client.headers) for _ in range(20)]
        assert [left(answer) for answer in mine] == list(range(19, -1, -1))
        assert {answer.status_code for answer in mine} == {200}
        problem(await client.get("/by-hand/x", headers=person.client.headers), 429)
        failed = await client.get("/bug")
        problem(failed, 500)
        assert left(failed) == 16


class Reply(View):
    text: str


class Knock(Query[Reply]):
    """Ask whether somebody is there."""

    permission = PUBLIC


@handles(Knock)
async def knock(query: Knock) -> Reply:
    return Reply(text="who is there?")


def doors() -> Feature:
    """A feature whose routes have a limit of its own, or none."""
    few = LimitClass("doors", lambda settings: Rate(settings.rate_limit.default // 10, 60))
    routes = Routes("/doors", tag="doors")
    routes.get("/front", Knock, limit=few)
    routes.post("/front", Knock, limit=few, name="knock_hard")
    routes.get("/back", Knock, limit=None, name="knock_at_the_back")
    return feature(Knock, knock, name="doors", routes=(routes,))


async def test_a_feature_declares_limits_of_its_own(settings: Settings, clock: FrozenClock) -> None:
    app = create_app(settings, [*STANDARD, doors()], clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        answers = [
            await client.get(f"{API}/doors/front"),
            await client.post(f"{API}/doors/front"),
            await client.get(f"{API}/doors/front"),
        ]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert [left(each) for each in answers] == [1, 0, 0]
        assert {each.headers["ratelimit-policy"] for each in answers} == {'"doors";q=2;w=60'}
        assert left(await client.get(f"{API}/doors/back")) is None
        assert left(await client.get(NOWHERE)) == 19


class TestWithoutItsRedis:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "REDIS_URL": "redis://127.0.0.1:1/0"}

    async def test_the_announced_limit_is_the_stricter_one(self, client: httpx.AsyncClient) -> None:
        answers = [await client.post(f"{API}/auth/refresh") for _ in range(6)]
        assert [left(answer) for answer in answers] == [4, 3, 2, 1, 0, 0]
        assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"5"}
        assert answers[0].headers["ratelimit-policy"] == '"refresh";q=5;w=60'
        assert "5 requests per 60 s" in problem(answers[-1], 429)["detail"]
