"""Fixtures: applications whose backups go to a folder, and storage that speaks S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.settings.age import new_identity
from backstay.testing import Templates
from backstay.testing.postgres_server import PostgresServer
from tests.backups.rigs import Place
from tests.services.seaweed import SeaweedServer

KEY = new_identity()


@pytest.fixture
def place(
    seeded_url: str, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Place:
    """An application on a seeded database, whose backups go to a folder."""
    variables = {"BACKUP_DIR": str(tmp_path / "backups")}
    if database_kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        variables["BACKUP_PG_BIN"] = str(server.programs)
    return Place(tmp_path, seeded_url, variables)


@pytest.fixture
def on_file(templates: Templates, tmp_path: Path) -> Place:
    """An application on SQLite, whose backups are encrypted."""
    url, _ = templates.copy("sqlite", tmp_path)
    return Place(tmp_path, url, {"BACKUP_DIR": str(tmp_path / "backups"), "BACKUP_KEY": KEY})


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[SeaweedServer]:
    """Storage that speaks S3, started by the first test that needs it."""
    with SeaweedServer() as server:
        yield server
