"""Shows that a project's history follows the platform's: upgraded after it, and told apart."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from backstay.composition import compose
from backstay.db import migrate
from backstay.db.database import Database
from backstay.db.migrations.runner import (
    PLATFORM,
    FaultyHistory,
    History,
    MigrationError,
    forget,
    last_revisions,
    scripts,
)
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions
from backstay.features.system.queries.probes import GetReadiness
from backstay.testing import settings_with
from tests.db.processes import run_at_once
from tests.db.shop import Shop, platform_of
from tests.db.test_migrate import execute, head

pytestmark = pytest.mark.anyio

CREATE = """
def upgrade():
    op.create_table("{0}", sa.Column("id", sa.Integer(), primary_key=True))

def downgrade():
    op.drop_table("{0}")
"""
ALL = len(list(PLATFORM.folder.glob("0*.py")))


@pytest.fixture
def shop(options: EngineOptions, tmp_path: Path) -> Shop:
    return Shop(options, History("shop", tmp_path / "50% of: it"))


@pytest.fixture
def two(shop: Shop) -> Shop:
    """The shop with two revisions: the first depends on the platform's last one but one."""
    before = f"platform_{ALL - 1:04d}"
    shop.with_file("0001_carts.py", CREATE.format("carts"), None, before)
    shop.with_file("0002_wishes.py", CREATE.format("wishes"), "shop_0001", head())
    return shop


async def test_an_empty_database_gets_the_platform_first(two: Shop) -> None:
    applied = await two.upgrade()
    assert applied == [*(f"platform_{n + 1:04d}" for n in range(ALL)), "shop_0001", "shop_0002"]
    assert await two.upgrade() == []
    assert await two.sentence() == ""
    assert await two.downgrade("base") != []
    assert await two.upgrade() == applied


async def test_what_a_current_database_holds_is_read_from_files(two: Shop) -> None:
    """The last revision of the project depends on that of the platform, which hides it."""
    await two.upgrade()
    database = Database(two.options)
    stored = await database.reader.scalar(text("SELECT version_num FROM alembic_version"))
    assert {stored} == last_revisions(two.histories) == {"shop_0002"}
    await database.dispose()


async def test_a_new_platform_revision_comes_before_the_projects(
    options: EngineOptions, tmp_path: Path
) -> None:
    history = History("shop", tmp_path / "versions")
    before = Shop(options, history, platform_of(ALL - 1, tmp_path / "older"))
    before.with_file("0001_carts.py", CREATE.format("carts"), None, f"platform_{ALL - 1:04d}")
    assert (await before.upgrade())[-1] == "shop_0001"
    after = Shop(options, history)
    assert await after.sentence() == State.BEHIND.value
    after.with_file("0002_wishes.py", CREATE.format("wishes"), "shop_0001", head())
    assert await after.sentence() == (
        "The database is behind Backstay and shop: run `backstay db upgrade`."
    )
    assert await after.upgrade() == [head(), "shop_0002"]
    assert await after.sentence() == ""
    with pytest.raises(MigrationError, match="install the version of Backstay that has it"):
        await before.sentence()


async def test_an_untouched_project_survives_a_new_platform_revision(
    options: EngineOptions, tmp_path: Path
) -> None:
    history = History("shop", tmp_path / "versions")
    before = Shop(options, history, platform_of(ALL - 1, tmp_path / "older"))
    before.with_file("0001_carts.py", CREATE.format("carts"), None, f"platform_{ALL - 1:04d}")
    await before.upgrade()
    after = Shop(options, history)
    assert await after.upgrade() == [head()]
    assert last_revisions(after.histories) == {head(), "shop_0001"}
    assert await after.sentence() == ""
    assert await before.sentence() == (
        f"The database is ahead of this version by {head()}; this version works with it."
    )
    assert await after.downgrade("platform@-1") == [head()]
    assert await after.downgrade("shop@base") == ["shop_0001"]
    assert await after.upgrade("shop@+1") == ["shop_0001"]
    assert await after.upgrade("platform@head") == [head()]


async def test_behind_is_told_of_the_project(two: Shop) -> None:
    await two.upgrade("shop@0001")
    await two.upgrade("platform@head")
    behind = "The database is behind shop: run `backstay db upgrade`."
    assert await two.sentence() == behind
    assert (await two.examine())[0] == [behind]
    database = Database(two.options)
    assert await migrate.schema_fault(database, two.histories) == behind
    with pytest.raises(MigrationError, match="behind shop"):
        await migrate.require_current(database, two.histories)
    await database.dispose()


UNKNOWN = {
    "shop_0003": (State.AHEAD, "by a newer version of shop: install"),
    "platform_0999": (State.AHEAD, "by a newer version of Backstay: install"),
    "x_0003": (
        State.FOREIGN,
        "has migrations that are not here, `x_0003`. If it is of another project",
    ),
    "ae1027a6acf0": (State.AHEAD, "by a newer version than this one: install"),
}


async def test_unknown_revisions_are_told_by_their_history(two: Shop) -> None:
    await two.upgrade()
    for revision, (state, told) in UNKNOWN.items():
        await execute(two.options, f"UPDATE alembic_version SET version_num = '{revision}'")
        assert await migrate.state(two.options, two.histories) is state
        assert told in await two.sentence()
        with pytest.raises(MigrationError, match="The database"):
            await two.upgrade()


async def test_without_the_project_its_database_is_foreign(two: Shop) -> None:
    await two.upgrade()
    assert await migrate.state(two.options) is State.FOREIGN
    assert "`shop_0002`" in (await migrate.check(two.options))[0]


async def test_a_history_is_undone_alone(two: Shop) -> None:
    await two.upgrade()
    assert await two.downgrade("shop@-1") == ["shop_0002"]
    assert await two.upgrade() == ["shop_0002"]
    assert await two.downgrade("platform@" + head()[-4:]) == []
    assert await two.downgrade("shop@0001") == ["shop_0002"]
    with pytest.raises(MigrationError, match="shop_0002 is not applied: nothing can be undone"):
        await two.downgrade("shop@0002")
    assert await two.downgrade("shop@base") == ["shop_0001"]
    assert await two.downgrade("shop@-1") == []
    assert await two.downgrade("shop@base") == []
    assert await two.downgrade("platform@-1") == [head()]


async def test_what_the_project_needs_is_not_undone(two: Shop) -> None:
    await two.upgrade()
    for revision in ("platform@-1", "platform@base", "platform_0001"):
        with pytest.raises(MigrationError, match=r"shop_000\d depends on platform_\d{4}: .* shop@"):
            await two.downgrade(revision)
    assert await two.sentence() == ""
    with pytest.raises(MigrationError) as caught:
        await two.downgrade("platform@-1")
    assert "`backstay db downgrade shop@0001`" in str(caught.value)


async def test_a_step_names_its_history_where_two_are_meant(two: Shop) -> None:
    with pytest.raises(MigrationError, match=r"platform@\+1 or shop@\+1"):
        await two.upgrade("+1")
    await two.upgrade("shop@0001")
    await two.upgrade("platform@head")
    with pytest.raises(MigrationError, match="platform@-1 or shop@-1"):
        await two.downgrade("-1")
    await two.upgrade()
    assert await two.downgrade("-1") == ["shop_0002"]
    with pytest.raises(MigrationError, match="no history boat, only platform and shop"):
        await two.upgrade("boat@0001")


async def test_tables_of_a_project_are_dropped_by_force_only(two: Shop) -> None:
    await two.upgrade()
    with pytest.raises(MigrationError, match=r"drop carts, wishes with every row"):
        await migrate.downgrade(two.options, "shop@base", histories=two.histories)
    assert await two.sentence() == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("op.execute('INSERT INTO no VALUES (1)')", r"no such table|does not exist"),
        ("op.unheard_of()", r"AttributeError: .*unheard_of.*\. Nothing was changed\.$"),
    ],
)
async def test_a_failing_project_leaves_an_empty_database(two: Shop, line: str, told: str) -> None:
    broken = f"\ndef upgrade():\n    op.create_table('x', sa.Column('y', sa.Integer()))\n    {line}"
    two.with_file("0003_broken.py", broken, "shop_0002")
    with pytest.raises(MigrationError, match=told) as caught:
        await two.upgrade()
    assert f"{two.history.folder}/0003_broken.py, line 10" in str(caught.value)
    assert await migrate.state(two.options, two.histories) is State.EMPTY


MISTAKES: dict[str, tuple[Callable[[Shop], None], str]] = {
    "twice": (
        lambda shop: shop.with_file("0002_other.py", CREATE.format("other"), "shop_0001"),
        r"0002_other.py and 0002_wishes.py .* the next number",
    ),
    "missing": (
        lambda shop: shop.with_file("0003_x.py", "", "shop_0002", "platform_0999"),
        r"shop_0003 builds on platform_0999, which is not there: install",
    ),
    "unreadable": (
        lambda shop: shop.with_file("0003_x.py", "def upgrade(:", "shop_0002"),
        r"0003_x.py, line 7: SyntaxError",
    ),
    "importing": (
        lambda shop: shop.with_file("0003_x.py", "\nimport no_such_thing", "shop_0002"),
        r"0003_x.py, line 8: ModuleNotFoundError: No module named 'no_such_thing'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_faulty_file_gives_a_sentence(two: Shop, mistake: str) -> None:
    make, told = MISTAKES[mistake]
    make(two)
    with pytest.raises(FaultyHistory, match=told):
        await two.upgrade()
    assert await migrate.state(two.options, two.histories) is State.ABSENT


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_the_start_and_the_probe_look_at_every_history(two: Shop, tmp_path: Path) -> None:
    await two.upgrade("platform@head")
    backstay = compose(
        settings_with(two.options.url.replace("+aiosqlite", ""), tmp_path), histories=two.histories
    )
    with pytest.raises(MigrationError, match="behind shop"):
        await backstay.require_schema()
    told = await backstay.system(GetReadiness())
    assert (told.status, told.reason) == (
        "not ready",
        "The database is behind shop: run `backstay db upgrade`.",
    )
    await two.upgrade()
    await backstay.require_schema()
    await backstay.close()


UPGRADING = """
import asyncio, sys
from pathlib import Path
from backstay.db import migrate
from backstay.db.migrations.runner import PLATFORM, History
from backstay.db.options import EngineOptions
histories = PLATFORM, History("shop", Path(sys.argv[2]))
print(len(asyncio.run(migrate.upgrade(EngineOptions(sys.argv[1]), histories=histories))))
"""


async def test_processes_that_upgrade_both_histories_all_succeed(two: Shop) -> None:
    command = [sys.executable, "-c", UPGRADING, two.options.url, str(two.history.folder)]
    assert sorted(map(int, run_at_once(2, command))) == [0, ALL + 2]
    forget()
    assert scripts(two.histories).get_heads()
    assert await two.sentence() == ""
