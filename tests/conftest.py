"""Fixtures of all tests: both kinds of database, the application on them, signed-in users."""

import fcntl
import json
import shutil
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.composition import Backstay, compose, seed
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.db import migrate, sqlite
from backstay.db.options import EngineOptions
from backstay.features import STANDARD
from backstay.features.access.commands.seeding import JoinRole
from backstay.redis import connection as redis_connection
from backstay.settings import Settings, load_settings
from tests.files import affected
from tests.services import valkey as valkey_service
from tests.services.postgres import PostgresServer, shared_server
from tests.services.valkey import ValkeyServer

pytest_plugins = ["tests.plugin"]

PASSWORD = "correct horse battery"
ADMIN_EMAIL = "admin@example.com"


@pytest.fixture
def features(request: pytest.FixtureRequest) -> list[Feature]:
    """The features of the application under test: all but those of ``--without``."""
    without = request.config.getoption("--without")
    return [feature for feature in STANDARD if feature.name not in without]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    return shared_server()


@pytest.fixture
def valkey() -> ValkeyServer:
    """The Valkey that all tests of this process share, running and empty."""
    server = valkey_service.shared_server()
    server.start()
    server.flush()
    return server


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the timeout of Redis calls, so that a busy machine causes no failures."""
    monkeypatch.setattr(redis_connection, "PATIENCE", 2.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """The URL, with its async driver, of an empty database made for one test."""
    if database_kind == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    yield _async_url(url)
    server.drop_database(url)


def _async_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


class Templates:
    """Databases that are migrated and seeded once per run, and copied for each test."""

    def __init__(self, folder: Path, server: Callable[[], PostgresServer]) -> None:
        self._folder = folder
        self._server = server

    def copy(
        self, kind: str, folder: Path, name: str = "test.db"
    ) -> tuple[str, Callable[[], None]]:
        """The URL of a copy and what removes it; a file gets that name in the folder."""
        if kind == "sqlite":
            target = folder / name
            shutil.copy(urlsplit(self._template(kind)).path, target)
            return f"sqlite:///{target}", lambda: None
        server = self._server()
        url = server.create_database(template=self._template(kind))
        return url, lambda: server.drop_database(url)

    def _template(self, kind: str) -> str:
        """The URL of the template, made by whichever test process needs it first."""
        made = self._folder / kind
        with (self._folder / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                file = self._folder / f"{kind}.db"
                url = f"sqlite:///{file}" if kind == "sqlite" else self._server().create_database()
                _prepare(url, self._folder)
                made.write_text(url)
        return made.read_text()


def _prepare(url: str, folder: Path) -> None:
    settings = settings_with(url, folder)

    async def prepare() -> None:
        backstay = compose(settings)
        await migrate.upgrade(backstay.database.options)
        await seed(backstay)
        await backstay.close()

    anyio.run(prepare)


def settings_with(url: str, folder: Path, **variables: str) -> Settings:
    """Settings for a test: quiet, unlimited, with a known administrator."""
    environ = {
        "DB_URL": url,
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": PASSWORD,
        "RATE_LIMIT_ENABLED": "false",
        "SERVER_LOG": "false",
        "LOG_DIR": "",
        "LOG_ACTIVITY_DAYS": "0",
        "MAIL_DIR": str(folder / "mail"),
        "DB_READ_TIMEOUT": "300",  # a busy machine has time
        **variables,
    }
    return load_settings(environ=environ, directory=folder)


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Templates:
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent  # which the test processes of a run have in common
    folder /= "templates"
    folder.mkdir(exist_ok=True)
    return Templates(folder, lambda: request.getfixturevalue("postgres"))


@pytest.fixture
def affected_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the only SQLite is one that can corrupt files in WAL mode."""
    monkeypatch.setattr(sqlite, "in_use", affected)


@pytest.fixture
def seeded_url(database_kind: str, templates: Templates, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated and seeded database made for one test."""
    url, remove = templates.copy(database_kind, tmp_path)
    yield url
    remove()


class FrozenClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def variables() -> dict[str, str]:
    """Further settings of the application under test; a test module overrides it."""
    return {}


@pytest.fixture
def settings(seeded_url: str, tmp_path: Path, variables: dict[str, str]) -> Settings:
    return settings_with(seeded_url, tmp_path, **variables)


@pytest.fixture
async def app(
    settings: Settings, features: list[Feature], clock: FrozenClock
) -> AsyncIterator[FastAPI]:
    """The real application with its start and stop, on its own database; no worker runs jobs."""
    application = create_app(settings, features, clock=clock, worker=False)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def backstay(app: FastAPI) -> Backstay:
    composed: Backstay = app.state.backstay
    return composed


def client_of(app: FastAPI, **options: Any) -> httpx.AsyncClient:
    """A client that speaks to an application in process, as a browser on another machine."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.1", 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", **options)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with client_of(app) as stranger:
        yield stranger


class Person:
    """A signed-in user with a client."""

    def __init__(self, client: httpx.AsyncClient, email: str, tokens: dict[str, Any]) -> None:
        self.client = client
        self.id = _subject(tokens["access_token"])
        self.email = email
        self.tokens = tokens
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"


def _subject(token: str) -> str:
    """The user that an access token is about (RFC 7519, `sub`)."""
    claims = token.split(".")[1]
    subject: str = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    return subject


Login = Callable[..., Awaitable[Person]]


@pytest.fixture
async def login(app: FastAPI, backstay: Backstay) -> AsyncIterator[Login]:
    """Signs in the administrator, or a new user with the role of that name."""
    people: list[Person] = []

    async def sign_in(role: str = "user", *, name: str | None = None, **fields: Any) -> Person:
        client = client_of(app)
        email = ADMIN_EMAIL
        if role != "admin":
            email = f"{name or 'person'}{len(people)}@example.org"
            body = {"email": email, "password": PASSWORD}
            created = await client.post("/api/v1/users", json=body)
            assert created.status_code == 201, created.text
            if role != "user":
                await backstay.system(JoinRole(user_id=created.json()["id"], role=role))
        body = {"email": email, "password": PASSWORD, "transport": "body", **fields}
        answer = await client.post("/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        people.append(Person(client, email, answer.json()))
        return people[-1]

    yield sign_in
    for person in people:
        await person.client.aclose()


@pytest.fixture
def options(database_url: str) -> EngineOptions:
    return EngineOptions(url=database_url)
