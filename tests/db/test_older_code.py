"""Shows when code works with a schema that newer code has migrated."""

import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from backstay.composition import Backstay, compose
from backstay.db import migrate
from backstay.db.database import Database
from backstay.db.migrations.runner import PLATFORM, FaultyHistory, History, MigrationError
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions
from backstay.features.system.queries.probes import GetReadiness
from backstay.testing import settings_with
from tests.db.processes import run_at_once
from tests.db.shop import Shop, platform_of
from tests.db.test_migrate import execute, head

pytestmark = pytest.mark.anyio

ADD = """
def upgrade():
    op.create_table("{0}", sa.Column("id", sa.Integer(), primary_key=True))

def downgrade():
    op.drop_table("{0}")
"""
ALL = len(list(PLATFORM.folder.glob("0*.py")))


@pytest.fixture
def newer(options: EngineOptions, tmp_path: Path) -> Shop:
    shop = Shop(options, History("shop", tmp_path / "newer"))
    shop.with_file("0001_carts.py", ADD.format("carts"), None, head())
    shop.with_file("0002_wishes.py", ADD.format("wishes"), "shop_0001")
    return shop


@pytest.fixture
def older(newer: Shop, tmp_path: Path) -> Shop:
    """The shop in the version before, which lacks the last revision."""
    shop = Shop(newer.options, History("shop", tmp_path / "older"))
    shop.with_file("0001_carts.py", ADD.format("carts"), None, head())
    return shop


def told(revisions: str) -> str:
    return f"The database is ahead of this version by {revisions}; this version works with it."


async def test_older_code_works_with_additions(newer: Shop, older: Shop) -> None:
    await newer.upgrade()
    assert await older.sentence() == told("shop_0002")
    database = Database(older.options)
    await migrate.require_current(database, older.histories)
    assert await migrate.schema_fault(database, older.histories) is None
    await database.dispose()
    assert await older.examine() == ([], [])
    assert await older.upgrade() == []
    assert await migrate.last_of_each(older.options, older.histories) == {
        "platform": (head(), head()),
        "shop": ("shop_0001", "shop_0002"),
    }


async def test_older_code_does_not_change_a_newer_schema(newer: Shop, older: Shop) -> None:
    await newer.upgrade()
    for change in (older.downgrade("shop@-1"), older.upgrade("shop@+1"), older.write("Late")):
        with pytest.raises(MigrationError, match="by shop_0002: only the version that has these"):
            await change
    assert await newer.sentence() == ""


async def test_an_older_package_works_with_a_newer_platform(
    options: EngineOptions, tmp_path: Path
) -> None:
    history = History("shop", tmp_path / "versions")
    before = Shop(options, history, platform_of(ALL - 1, tmp_path / "platform"))
    before.with_file("0001_carts.py", ADD.format("carts"), None, f"platform_{ALL - 1:04d}")
    await before.upgrade()
    assert await Shop(options, history).upgrade() == [head()]
    assert await before.sentence() == told(head())


OLDEST = [
    ("shop_0001", State.COMPATIBLE),
    ("shop_0002", State.AHEAD),
]


@pytest.mark.parametrize(("oldest", "state"), OLDEST)
async def test_a_revision_names_the_oldest_code(
    newer: Shop, older: Shop, oldest: str, state: State
) -> None:
    newer.with_file("0003_x.py", f"oldest_code = {oldest!r}" + ADD.format("x"), "shop_0002")
    await newer.upgrade()
    assert await migrate.state(older.options, older.histories) is state
    assert await newer.sentence() == ""
    assert await newer.downgrade("shop@-1") == ["shop_0003"]
    assert await older.sentence() == told("shop_0002")


@pytest.mark.parametrize("oldest", ["shop_0009", "platform_0001", 3, "shop"])
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_an_oldest_code_that_cannot_be_is_refused(newer: Shop, oldest: object) -> None:
    newer.with_file("0003_x.py", f"oldest_code = {oldest!r}" + ADD.format("x"), "shop_0002")
    with pytest.raises(FaultyHistory, match=r"0003_x.py: oldest_code is .* one of shop, up to"):
        await newer.upgrade()


async def test_what_the_record_lacks_is_not_trusted(newer: Shop, older: Shop) -> None:
    await newer.upgrade()
    await execute(newer.options, "DELETE FROM schema_revisions WHERE revision = 'shop_0002'")
    assert await migrate.state(older.options, older.histories) is State.AHEAD
    await newer.downgrade("shop@-1")
    await newer.upgrade()
    assert await older.sentence() == told("shop_0002")


async def test_what_was_never_applied_is_behind_or_foreign(newer: Shop, older: Shop) -> None:
    await newer.upgrade()
    without = Shop(newer.options, History("boat", newer.history.folder.with_name("boat")))
    assert await migrate.state(newer.options, without.histories) is State.FOREIGN
    older.with_file("0002_others.py", ADD.format("others"), "shop_0001")
    older.with_file("0003_mine.py", ADD.format("mine"), "shop_0002")
    assert await migrate.state(older.options, older.histories) is State.BEHIND


async def test_the_record_says_when_a_revision_was_applied(newer: Shop) -> None:
    await newer.upgrade("shop@0001")
    await execute(newer.options, "UPDATE schema_revisions SET applied_at = NULL")
    await newer.upgrade()
    database = Database(newer.options)
    dated = "SELECT revision FROM schema_revisions WHERE applied_at IS NOT NULL"
    assert await database.reader.scalar(text(dated)) == "shop_0002"
    await database.dispose()


LOOKING = """
import asyncio, sys
from pathlib import Path
from backstay.db import migrate
from backstay.db.migrations.runner import PLATFORM, History
from backstay.db.options import EngineOptions
histories = PLATFORM, History("shop", Path(sys.argv[2]))
print(asyncio.run(migrate.state(EngineOptions(sys.argv[1]), histories)).name)
print("alembic" in sys.modules)
"""


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_server_that_is_older_imports_no_migration(newer: Shop, older: Shop) -> None:
    await newer.upgrade()
    command = [sys.executable, "-c", LOOKING, older.options.url, str(older.history.folder)]
    assert run_at_once(1, command) == ["COMPATIBLE\nFalse\n"]


def server_of(shop: Shop, folder: Path) -> Backstay:
    url = shop.options.url.replace("+aiosqlite", "")
    return compose(settings_with(url, folder), histories=shop.histories)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_server_stays_ready_until_a_contraction(
    newer: Shop, older: Shop, tmp_path: Path
) -> None:
    await older.upgrade()
    backstay = server_of(older, tmp_path)
    assert (await backstay.schema.require()).state is State.CURRENT
    await newer.upgrade()
    with capture_logs() as lines:
        for _ in range(2):
            assert (await backstay.system(GetReadiness())).status == "ready"
    assert [line["revisions"] for line in lines if line["log_level"] == "warning"] == ["shop_0002"]
    assert (await backstay.schema.require()).state is State.COMPATIBLE
    newer.with_file("0003_x.py", "oldest_code = 'shop_0002'" + ADD.format("x"), "shop_0002")
    await newer.upgrade()
    after = await backstay.system(GetReadiness())
    assert (after.status, after.reason) == (
        "not ready",
        "The database was migrated by a newer version of shop: install that version.",
    )
    with pytest.raises(MigrationError, match="newer version of shop"):
        await backstay.require_schema()
    await backstay.close()
