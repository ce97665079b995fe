"""Fixtures of all tests beside those of the test kit: its features, Valkey, empty databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.application import Application
from backstay.core.feature import Feature
from backstay.db import sqlite
from backstay.db.options import EngineOptions
from backstay.features import STANDARD
from backstay.redis import connection as redis_connection
from backstay.testing.postgres_server import PostgresServer
from tests.files import affected
from tests.services import valkey as valkey_service
from tests.services.valkey import ValkeyServer

pytest_plugins = ["backstay.testing", "tests.plugin"]


@pytest.fixture
def features(request: pytest.FixtureRequest) -> list[Feature]:
    """The features of the application under test: all but those of ``--without``."""
    without = request.config.getoption("--without")
    return [feature for feature in STANDARD if feature.name not in without]


@pytest.fixture
def application(features: list[Feature]) -> Application:
    """The application under test."""
    return Application("tests", features=features, migrations=None)


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


@pytest.fixture
def affected_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the only SQLite is one that can corrupt files in WAL mode."""
    monkeypatch.setattr(sqlite, "in_use", affected)


@pytest.fixture
def options(database_url: str) -> EngineOptions:
    return EngineOptions(url=database_url)
