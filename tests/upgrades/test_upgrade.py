"""Shows that a project with data takes the next version of the package, and what it is told.

On SQLite only, since each step is a process; `tests/db/test_histories.py` has both databases.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, MetaData, select

from backstay import __version__
from backstay.db.engine import writer_engine
from backstay.db.options import EngineOptions
from tests.architecture.tree import ROOT
from tests.upgrades.environments import environment
from tests.upgrades.next_version import VERSION, NextVersion, next_version
from tests.upgrades.project import NAME, Project, project, rows_made, signed_in

Rows = dict[str, list[dict[str, Any]]]
"""By table: its rows."""
PAGE = (ROOT / "docs" / "guides" / "upgrade.md").read_text("utf-8").replace("\n", " ")
CURRENT = "The database is current.\n"
BEHIND = "The database is behind this version: run `backstay db upgrade`.\n"
AHEAD = "The database was migrated by a newer version of Backstay: install that version.\n"


@pytest.fixture
def after(tmp_path: Path) -> NextVersion:
    """The next version."""
    return next_version(tmp_path / "next")


@pytest.fixture
def shop(wheel: Path, tmp_path: Path) -> Project:
    """The project on this version with the test kit, and rows in its database."""
    made = project(tmp_path / "shop", environment(tmp_path / "venv", wheel, extra="testing"))
    made.told("db", "upgrade")
    with made.serving() as server:
        assert rows_made(server, signed_in(server)) == 1
    return made


def test_a_project_takes_the_next_version_and_keeps_its_data(
    shop: Project, wheel: Path, after: NextVersion
) -> None:
    before = stored(shop.folder)
    shop.environment.install(after.wheel)
    assert shop.told("--version") == f"Backstay {VERSION}\n"
    assert shop.told("db", "check", code=1) == BEHIND
    assert shop.told("db", "upgrade").splitlines()[0] == f"Applied {after.revision}."
    assert shop.told("db", "check") == CURRENT
    kept = stored(shop.folder)
    assert kept.pop("badges") == []
    assert [row.pop("colour") for row in kept["users"]] == ["green"] * len(before["users"])
    for table, rows in before.items():
        assert [row for row in rows if row not in kept[table]] == [], table

    passes_its_tests(shop)
    undoes_its_history_alone(shop)

    shop.environment.install(wheel)
    assert shop.told("--version") == f"Backstay {__version__}\n"
    assert shop.told("db", "check", code=1) == AHEAD


def test_the_guide_has_the_sentences() -> None:
    for sentence in (BEHIND, AHEAD, CURRENT):
        assert f"`{sentence.strip().replace('`', '')}`" in PAGE


def passes_its_tests(shop: Project) -> None:
    given = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--database=sqlite")
    done = shop.environment.execute(shop.folder, *given)
    assert done.code == 0, done.output + done.errors
    assert " passed" in done.output


def undoes_its_history_alone(shop: Project) -> None:
    undone = shop.told("db", "downgrade", f"{NAME}@base", "--force").splitlines()
    assert undone == [f"Undid {each}." for each in reversed(shop.migrations)]
    applied = shop.told("db", "upgrade").splitlines()[: len(undone)]
    assert applied == [f"Applied {each}." for each in shop.migrations]


def stored(folder: Path) -> Rows:
    """All rows in the project's database, but those that say which migrations it has."""

    async def read() -> Rows:
        engine = writer_engine(EngineOptions(f"sqlite+aiosqlite:///{folder}/backstay.db"))
        async with engine.connect() as connection:
            found = dict(await connection.run_sync(lambda each: list(_rows(each))))
        await engine.dispose()
        return found

    return anyio.run(read)


def _rows(connection: Connection) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            yield table.name, [dict(row) for row in connection.execute(select(table)).mappings()]
