"""Shows the page at `/`: in `local` only, only where no other route answers, without secrets."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from backstay.application import create_app
from backstay.core.bus import handles
from backstay.core.messages import Query, View
from backstay.core.permissions import PUBLIC
from backstay.features import STANDARD
from backstay.settings import Settings
from backstay.testing import settings_with
from backstay.web.routes import Routes
from tests.architecture.booting import feature
from tests.settings.conftest import OTHER, STRONG
from tests.web.environments import PRODUCTION, STAGING
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

LINK = re.compile(r'href="(/[^"]*)"')


def visitor(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


async def test_the_page_says_what_runs_and_its_links_work(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for fact in (settings.app.title, settings.app.version, "local", "SQLite"):
        assert fact in answer.text
    links = LINK.findall(answer.text)
    assert {"/docs", "/admin", "/health"} <= {*links}
    for link in links:
        assert (await client.get(link)).status_code == (303 if link == "/admin" else 200)


async def test_the_page_loads_nothing_and_runs_no_script(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy + answer.text
    assert "unsafe" not in policy
    assert "src=" not in answer.text


async def test_the_page_names_no_secret_and_no_file(database_url: str, tmp_path: Path) -> None:
    secrets = {
        "SECURITY_SECRET_KEY": STRONG,
        "SECURITY_REFRESH_TOKEN_SECRET": OTHER,
        "APP_METRICS_TOKEN": "a token of the metrics, which is secret",
    }
    settings = settings_with(database_url, tmp_path, REDIS_URL="redis://:hush@127.0.0.1", **secrets)
    async with visitor(create_app(settings)) as client:
        text = (await client.get("/")).text
    assert settings.db.url.parsed.database
    for secret in ("hush", settings.db.url.parsed.database, *secrets.values()):
        assert secret not in text


async def test_what_a_project_calls_itself_is_escaped(database_url: str, tmp_path: Path) -> None:
    said = "<b onclick=alert(1)>Shop</b>"
    names = {"APP_TITLE": said, "APP_DESCRIPTION": said, "APP_VERSION": said}
    async with visitor(create_app(settings_with(database_url, tmp_path, **names))) as client:
        text = (await client.get("/")).text
    assert "<b" not in text.replace("<body", "")
    assert text.count("&lt;b onclick") == 4


@pytest.mark.parametrize("environment", [STAGING, PRODUCTION])
async def test_in_other_environments_there_is_no_page(
    database_url: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with visitor(create_app(settings_with(database_url, tmp_path, **environment))) as client:
        problem(await client.get("/"), 404, "not_found")


async def test_only_links_that_exist_are_shown(database_url: str, tmp_path: Path) -> None:
    settings = settings_with(database_url, tmp_path, APP_SWAGGER="false", ADMIN_CONSOLE="false")
    features = [feature for feature in STANDARD if feature.name != "mail"]
    async with visitor(create_app(settings, features)) as client:
        assert LINK.findall((await client.get("/")).text) == ["/health"]
    settings = settings_with(database_url, tmp_path, MAIL_BACKEND="console")
    async with visitor(create_app(settings)) as client:
        assert "/dev/mailbox" not in (await client.get("/")).text


async def test_head_gets_no_body_and_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    head = await client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    problem(await client.post("/"), 405, "method_not_allowed")


class Home(View):
    whose: str


class GetHome(Query[Home]):
    permission = PUBLIC


@handles(GetHome)
async def get_home(query: GetHome) -> Home:
    return Home(whose="mine")


HOME = Routes("", tag="home", versioned=False)
HOME.get("/", GetHome)


@pytest.mark.parametrize("way", ["feature", "router", "later", "files"])
async def test_a_page_of_the_project_comes_first(
    settings: Settings, tmp_path: Path, way: str
) -> None:
    router = APIRouter()

    @router.get("/")
    async def home() -> HTMLResponse:
        return HTMLResponse("mine")

    (tmp_path / "index.html").write_text("mine")
    own = [feature(GetHome, get_home, routes=(HOME,))] if way == "feature" else []
    app = create_app(settings, [*STANDARD, *own], routers=[router] if way == "router" else ())
    if way == "later":
        app.get("/")(home)
    elif way == "files":
        app.mount("/", StaticFiles(directory=tmp_path, html=True))
    async with visitor(app) as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.text in {"mine", '{"whose":"mine"}'}
