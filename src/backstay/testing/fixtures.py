"""The fixtures: the application on a database of its own, signed-in users, captured work."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from backstay.application import Application, application_in_use
from backstay.composition import Backstay
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.access.model import Role
from backstay.settings import Settings
from backstay.testing.clock import FrozenClock
from backstay.testing.databases import Templates, settings_with
from backstay.testing.people import ADMIN_EMAIL, PASSWORD, Login, Person, client_of
from backstay.testing.postgres_server import PostgresServer, shared_server
from backstay.testing.replacing import for_tests, require_kept_mails
from backstay.testing.work import Add, Mails, Work, store


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """The PostgreSQL server of the run, which the first database starts."""
    return shared_server()


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Templates:
    """Makes databases of the project's application."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent  # which the test processes of a run have in common
    folder /= "templates"
    folder.mkdir(exist_ok=True)
    application = for_tests(application_in_use(), {})
    return Templates(folder, lambda: request.getfixturevalue("postgres"), application)


@pytest.fixture
def application() -> Application:
    """The application under test: the project's own."""
    return application_in_use()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database that ``--database`` asks for."""
    kind: str = request.param
    return kind


@pytest.fixture
def seeded_url(
    database_kind: str, templates: Templates, tmp_path: Path, variables: dict[str, str]
) -> Iterator[str]:
    """The URL of a migrated and seeded database made for one test."""
    url, remove = templates.copy(database_kind, tmp_path, variables=variables)
    yield url
    remove()


@pytest.fixture
def clock() -> FrozenClock:
    """The application's clock: it stands still until a test moves it."""
    return FrozenClock()


@pytest.fixture
def variables() -> dict[str, str]:
    """Further settings of the application under test, by variable; a test module overrides it.

    What the project's own groups of settings require is given in its `tests/conftest.py`.
    """
    return {}


@pytest.fixture
def settings(
    application: Application, seeded_url: str, tmp_path: Path, variables: dict[str, str]
) -> Settings:
    """The settings of the application under test."""
    return settings_with(seeded_url, tmp_path, application, **variables)


@pytest.fixture
def replace() -> dict[Any, Any]:
    """By type, what stands in place of adapters and provided objects; a test overrides it.

    Values are those of `Application`. Without it, mails of a project with its own `Mailer` are
    kept, too, and its own `BreachedPasswords` are not asked.
    """
    return {}


@pytest.fixture
async def app(
    application: Application, settings: Settings, clock: FrozenClock, replace: dict[Any, Any]
) -> AsyncIterator[FastAPI]:
    """The real application with its start and stop, on its own database; no worker runs jobs."""
    own = for_tests(application, replace)
    made = own.create_app(settings, clock=clock, worker=False)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def backstay(app: FastAPI) -> Backstay:
    """What the application is made of, below the edge."""
    composed: Backstay = app.state.backstay
    return composed


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with client_of(app) as stranger:
        yield stranger


@pytest.fixture
async def login(app: FastAPI, backstay: Backstay) -> AsyncIterator[Login]:
    """Signs in the administrator (`admin`), or a new user with the role of that name."""
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
                await _give(backstay, created.json()["id"], role)
        body = {"email": email, "password": PASSWORD, "transport": "body", **fields}
        answer = await client.post("/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        claims = backstay.tokens.verify(answer.json()["access_token"])
        people.append(Person(client, str(claims.user_id), email, answer.json()))
        return people[-1]

    yield sign_in
    for person in people:
        await person.client.aclose()


@pytest.fixture
def work(backstay: Backstay) -> Work:
    """The jobs and events of the application: nothing runs until a test says so."""
    return Work(backstay)


@pytest.fixture
def mails(backstay: Backstay, replace: dict[Any, Any]) -> Mails:
    """The mails of the application: nothing is sent until a test says so."""
    require_kept_mails(replace)
    return Mails(backstay)


@pytest.fixture
def add(backstay: Backstay) -> Add:
    """Stores a row directly, without the application's steps: ``await add(Item(...))``."""
    return partial(store, backstay)


async def _give(backstay: Backstay, user_id: str, role: str) -> None:
    """Give a user a role; an unknown one fails the test and tells which there are."""
    named = select(Role.name).where(Role.deleted_at.is_(None)).order_by(Role.name)
    known = [row.name for row in await backstay.database.write(named)]
    if role not in known:
        problem = f"There is no role {role!r} to sign in with; there are: {', '.join(known)}."
        pytest.fail(problem, pytrace=False)
    await backstay.system(JoinRole(user_id=UUID(user_id), role=role))
