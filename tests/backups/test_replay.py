"""Shows that a restored application answers as before: a sample of `make backups`."""

import pytest

from backstay.testing.postgres_server import PostgresServer
from tests.backups.replay import fresh_of, replayed
from tests.backups.rigs import Place


def test_a_restored_application_answers_as_before(
    place: Place, database_kind: str, request: pytest.FixtureRequest
) -> None:
    server: PostgresServer | None = None
    if database_kind == "postgresql":
        server = request.getfixturevalue("postgres")
    assert replayed(place, fresh_of(place, server), 60) == []
