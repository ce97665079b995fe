"""The guards look at the application, not at the database: one kind is enough."""

import pytest


@pytest.fixture
def database_kind() -> str:
    return "sqlite"
