"""Shows who may read the documentation, and that its pages load nothing from other hosts."""

import asyncio
import base64
import re
import threading
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.testing import ADMIN_EMAIL, PASSWORD, Login
from tests.features.steps import register
from tests.web.environments import PRODUCTION, STAGING
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

PAGES = ["/docs", "/redoc"]
ALL = [*PAGES, "/openapi.json"]
SOURCES = re.compile(r"""(?:src|href|url|spec-url)\s*[=:]\s*["']([^"']+)""")


def basic(login: str, password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{login}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


async def test_in_local_everybody_reads_the_documentation(client: httpx.AsyncClient) -> None:
    for path in ALL:
        assert (await client.get(path)).status_code == 200
    assert (await client.get("/docs?theme=dark")).status_code == 200


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient, page: str) -> None:
    answer = await client.get(page)
    assert answer.headers["content-type"].startswith("text/html")
    assert "//" not in answer.text.replace("<!doctype", "")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline", policy)
    sources = SOURCES.findall(answer.text)
    assert len(sources) >= 2
    for source in sources:
        loaded = await client.get(source)
        assert loaded.status_code == 200, source
        assert len(loaded.content) > 100


async def test_the_script_of_the_page_asks_no_other_host(client: httpx.AsyncClient) -> None:
    script = (await client.get("/docs/assets/start.js")).text
    assert "//" not in script
    assert "validatorUrl: null" in script


@pytest.mark.parametrize(
    "name", ["nope.js", "..%2fdocs.py", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "start.js%00", ""]
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, name: str) -> None:
    problem(await client.get(f"/docs/assets/{name}"), 404, "not_found")


async def test_the_authorize_button_finds_the_login(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    flows = schema["components"]["securitySchemes"]["bearer"]["flows"]
    form = {"username": ADMIN_EMAIL, "password": PASSWORD}
    assert (await client.post(flows["password"]["tokenUrl"], data=form)).status_code == 200


async def test_others_are_answered_while_the_description_is_made(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    def describe() -> dict[str, Any]:
        return {"made_by": threading.get_ident()}

    app.openapi = describe  # type: ignore[method-assign]
    assert (await client.get("/openapi.json")).json()["made_by"] != threading.get_ident()


async def test_concurrent_requests_get_one_description(app: FastAPI) -> None:
    """The framework cannot describe the same routes in two threads: some requests would fail."""
    found = await asyncio.gather(*(asyncio.to_thread(app.openapi) for _ in range(8)))
    assert len(set(map(id, found))) == 1


class TestStaging:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING

    async def test_superusers_read_the_documentation(self, client: httpx.AsyncClient) -> None:
        for path in ALL:
            for login in (ADMIN_EMAIL, "admin"):
                answer = await client.get(path, headers=basic(login, PASSWORD))
                assert answer.status_code == 200
                assert "public" not in answer.headers.get("cache-control", "")

    @pytest.mark.parametrize("path", ALL)
    async def test_nobody_else_reads_the_documentation(
        self, client: httpx.AsyncClient, path: str
    ) -> None:
        await register(client, "ada@example.org", username="ada")
        for headers in (
            {},
            basic("ada", PASSWORD),
            basic(ADMIN_EMAIL, "wrong password"),
            basic(ADMIN_EMAIL, PASSWORD + "x" * 200),
            basic(ADMIN_EMAIL, ""),
            basic("", PASSWORD),
            basic("nobody@example.org", PASSWORD),
            basic("a\0b", PASSWORD),
            basic("x" * 5000, PASSWORD),
            {"Authorization": "Basic"},
            {"Authorization": "Basic %%%"},
            {"Authorization": "Basic /w=="},
            {"Authorization": f"Bearer {PASSWORD}"},
        ):
            answer = await client.get(path, headers=headers)
            problem(answer, 401, "auth_error")
            assert answer.headers["www-authenticate"].startswith("Basic realm=")

    async def test_an_access_token_is_not_enough(self, login: Login) -> None:
        admin = await login("admin")
        problem(await admin.client.get("/docs"), 401, "auth_error")


class TestStagingUnderLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {**STAGING, "RATE_LIMIT_ENABLED": "true"}

    async def test_passwords_cannot_be_guessed_here_either(self, client: httpx.AsyncClient) -> None:
        for number in range(5):
            headers = basic(ADMIN_EMAIL, f"guess {number}")
            problem(await client.get(ALL[number % 3], headers=headers), 401)
        answer = await client.get("/docs", headers=basic(ADMIN_EMAIL, PASSWORD))
        problem(answer, 429, "rate_limited")
        login = {"email": ADMIN_EMAIL, "password": PASSWORD}
        problem(await client.post("/api/v1/auth/login", json=login), 429, "rate_limited")


class TestProduction:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return PRODUCTION

    async def test_there_is_no_documentation(self, client: httpx.AsyncClient) -> None:
        for path in [*ALL, "/docs/assets/swagger-ui.css", "/docs/assets/start.js"]:
            for headers in ({}, basic(ADMIN_EMAIL, PASSWORD)):
                problem(await client.get(path, headers=headers), 404, "not_found")


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_SWAGGER": "false"}

    async def test_there_is_no_documentation(self, client: httpx.AsyncClient) -> None:
        for path in ALL:
            problem(await client.get(path), 404, "not_found")
