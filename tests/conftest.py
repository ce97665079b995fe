"""Fixtures of every test: the event loop and an empty database of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.postgres import PostgresServer, shared_server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    return shared_server()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL, with its async driver, of a database made for one test."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    yield url.replace("postgresql://", "postgresql+asyncpg://", 1)
    server.drop_database(url)
