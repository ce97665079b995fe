"""Shows which other sites' pages may call the API."""

import re

import httpx
import pytest

from tests.features.steps import API, JWKS
from tests.web.environments import STAGING
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

ALLOWED, OWN_LIST = "http://localhost:3000", "https://app.example.org"
OTHERS = "https://Second.Example:443,http://third.example:80"
FOREIGN = [
    "https://evil.example",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://localhost",
    "http://localhost:3000/",
    "http://u@localhost:3000",
    "http://localhost:x",
    "http://[",
    "null",
    "",
]


def preflight(origin: str, method: str = "PATCH") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,if-match",
    }


async def test_an_allowed_page_may_read_and_send_credentials(client: httpx.AsyncClient) -> None:
    answer = await client.get(JWKS, headers={"Origin": ALLOWED})
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "origin" in answer.headers["vary"].lower()
    exposed = set(answer.headers["access-control-expose-headers"].lower().split(", "))
    assert exposed >= {"etag", "link", "location", "retry-after", "x-request-id"}
    assert "idempotent-replayed" in exposed


@pytest.mark.parametrize("origin", ["http://LOCALHOST:3000", "HTTP://localhost:3000"])
async def test_case_does_not_make_another_page(client: httpx.AsyncClient, origin: str) -> None:
    for answer in (
        await client.get(JWKS, headers={"Origin": origin}),
        await client.options(f"{API}/users/me", headers=preflight(origin)),
    ):
        assert answer.headers["access-control-allow-origin"] == origin


async def test_an_allowed_page_may_ask_first(client: httpx.AsyncClient) -> None:
    answer = await client.options(f"{API}/users/me", headers=preflight(ALLOWED))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"if-match", "idempotency-key"} <= set(re.split(", ?", allowed))
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_origin_is_not_allowed(
    client: httpx.AsyncClient, origin: str
) -> None:
    answers = [
        await client.get(JWKS, headers={"Origin": origin}),
        await client.options(f"{API}/users/me", headers=preflight(origin)),
    ]
    for answer in answers:
        assert "access-control-allow-origin" not in answer.headers
    if origin:
        assert problem(answers[1], 400, "bad_request")["detail"] == "Disallowed CORS origin."


async def test_a_refused_method_is_reported_to_an_allowed_page(client: httpx.AsyncClient) -> None:
    answer = await client.options(f"{API}/users/me", headers=preflight(ALLOWED, "FOO"))
    assert problem(answer, 400, "bad_request")["detail"] == "Disallowed CORS method."
    assert answer.headers["access-control-allow-origin"] == ALLOWED


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{API}/users/me", 401),
        ("GET", "/nope", 404),
        ("PUT", f"{API}/users", 405),
        ("POST", f"{API}/users", 422),
        ("GET", f"{JWKS}?x=1", 422),
    ],
)
async def test_errors_can_be_read_by_an_allowed_page(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path, json={}, headers={"Origin": ALLOWED})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ALLOWED


async def test_a_413_can_be_read_by_an_allowed_page(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        f"{API}/users", content=b"x" * 3_000_000, headers={"Origin": ALLOWED}
    )
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (413, ALLOWED)


class TestOutsideLocal:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING

    async def test_nobody_is_allowed_unless_named(self, client: httpx.AsyncClient) -> None:
        for origin in (ALLOWED, OWN_LIST):
            answer = await client.get(JWKS, headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers


class TestNamed:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {**STAGING, "APP_CORS_ORIGINS": f"{OWN_LIST},{OTHERS}", "RATE_LIMIT_ENABLED": "true"}

    async def test_only_the_named_are_allowed(self, client: httpx.AsyncClient) -> None:
        for origin, is_allowed in ((OWN_LIST, True), (ALLOWED, False), ("https://x.org", False)):
            answer = await client.get(JWKS, headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is is_allowed

    async def test_a_default_port_does_not_make_another_page(
        self, client: httpx.AsyncClient
    ) -> None:
        for origin, is_allowed in (
            (f"{OWN_LIST}:443", True),
            ("https://second.example", True),
            ("https://second.example:443", True),
            ("http://third.example", True),
            ("http://third.example:443", False),
            ("https://second.example:80", False),
        ):
            answer = await client.get(JWKS, headers={"Origin": origin})
            assert ("access-control-allow-origin" in answer.headers) is is_allowed, origin

    async def test_a_429_can_be_read_by_an_allowed_page(self, client: httpx.AsyncClient) -> None:
        for _ in range(11):
            answer = await client.post(f"{API}/auth/logout", headers={"Origin": OWN_LIST})
        assert answer.status_code == 429
        assert answer.headers["access-control-allow-origin"] == OWN_LIST
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert "retry-after" in exposed
