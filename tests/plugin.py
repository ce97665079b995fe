"""Sets up a test run: shared servers, garbage collection, options."""

import gc
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import create_async_engine

from backstay.composition import http, wiring
from backstay.core.startup import settle_memory
from backstay.db import engine, sqlite
from tests import selection, warm
from tests.files import affected

SELDOM = 200_000
"""New objects that trigger a garbage collection within a test; one runs after each test anyway."""


def pytest_configure(config: pytest.Config) -> None:
    """Prepare this process; servers that tests start are as usual."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a run in the background may ignore them
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)  # servers under test obey them
    _compile_once()
    _check_once()
    warm.try_projects_warm()
    if config.getoption("--affected-sqlite"):
        vars(sqlite)["in_use"] = affected
    if config.getoption("--quick"):
        config.option.database = "sqlite"


def _compile_once() -> None:
    """Compile each statement once in this process, not once for each application under test."""
    options = {"compiled_cache": dict[Any, Any]()}
    vars(engine)["create_async_engine"] = partial(create_async_engine, execution_options=options)
    for dialect in (PGDialect_asyncpg, SQLiteDialect_aiosqlite):
        dialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]
        dialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]


def _check_once() -> None:
    """Check the wiring of the same features once in this process, not once for each application."""
    check, sound = wiring.check, dict[Any, Any]()

    def check_once(registry: Any, features: Any, ownership: Any, root_path: str) -> None:
        key = (*map(id, features), root_path)
        if key not in sound or registry.faults:
            check(registry, features, ownership, root_path)
            sound[key] = tuple(features)  # they live on, so that no id is another feature's

    vars(wiring)["check"] = check_once


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["groups"] = str(selection.groups_file(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> selection.Scheduling:
    return selection.Scheduling(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use two test processes per processor, as many tests wait for processes; quick ones do not."""
    processors = os.cpu_count() or 1
    return processors if config.getoption("--quick") else 2 * processors


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without", action="append", default=[], metavar="FEATURE")
    parser.addoption(
        "--affected-sqlite",
        action="store_true",
        help="as if there were no SQLite but one that can corrupt files in WAL mode",
    )
    selection.add_options(parser)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return collection_path.name in config.getoption("--without") or None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Exempt everything loaded so far from garbage collection, once for all applications."""
    settle_memory()
    vars(http)["settle_memory"] = lambda: None
    gc.set_threshold(SELDOM)
    if session.config.getoption("--quick"):
        selection.forbid_processes()


@pytest.fixture(autouse=True)
def leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect garbage after each test, so that a leak fails the test that caused it.

    Objects that survive belong to the whole run, and are exempted from later collections.
    """
    yield
    request.node.funcargs.clear()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    selection.select(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    selection.tell_how_to_repeat(terminalreporter)
