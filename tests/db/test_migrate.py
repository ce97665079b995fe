"""Shows that migrations match the models, can be undone, and run once among many processes."""

import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from backstay.db import migrate
from backstay.db.database import Database
from backstay.db.engine import writer_engine
from backstay.db.migrations import transaction
from backstay.db.migrations.runner import PLATFORM, History, MigrationError, scripts
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions, create_file
from tests.db.processes import run_at_once
from tests.db.tables import Book

pytestmark = pytest.mark.anyio


async def execute(options: EngineOptions, *statements: str) -> None:
    create_file(options)
    engine = writer_engine(options)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


def history_in(folder: Path, body: str) -> tuple[History, ...]:
    """The platform's history with one more revision on top."""
    folder.mkdir()
    (folder / "9001_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = 'later_0001'\ndown_revision = {head()!r}\n"
        f"branch_labels = None\ndepends_on = None\n\n{body}"
    )
    return (PLATFORM, History("later", folder))


def head() -> str:
    (found,) = scripts((PLATFORM,)).get_heads()
    return found


async def test_up_down_up_without_drift(options: EngineOptions) -> None:
    applied = await migrate.upgrade(options)
    assert applied[-1] == head()
    assert await migrate.check(options) == []
    assert await migrate.downgrade(options, "base", force=True) == applied[::-1]
    assert await migrate.state(options) is State.EMPTY
    assert await migrate.upgrade(options) == applied
    assert await migrate.check(options) == []
    assert await migrate.upgrade(options) == []


async def test_every_single_step_can_be_undone(options: EngineOptions) -> None:
    for name in reversed(list(revisions(scripts((PLATFORM,))))):
        assert await migrate.upgrade(options, "+1") == [name]
        assert await migrate.downgrade(options, "-1", force=True) == [name]
        assert await migrate.upgrade(options, name) == [name]
    assert await migrate.check(options) == []


def revisions(directory: ScriptDirectory) -> list[str]:
    return [script.revision for script in directory.walk_revisions()]


async def test_the_history_is_one_line() -> None:
    directory = scripts((PLATFORM,))
    assert len(directory.get_heads()) == 1
    first = directory.get_revision(revisions(directory)[-1])
    assert first.branch_labels == {"platform"}
    assert all(not script.is_merge_point for script in directory.walk_revisions())


async def test_the_state_of_a_database(options: EngineOptions) -> None:
    empty = State.ABSENT if options.is_sqlite else State.EMPTY
    assert await migrate.state(options) is empty
    assert await migrate.check(options) == [empty.value]
    await migrate.upgrade(options, "+1")
    assert await migrate.state(options) is State.BEHIND
    await migrate.upgrade(options)
    assert await migrate.state(options) is State.CURRENT
    await execute(options, "UPDATE alembic_version SET version_num = 'unheard_of'")
    assert await migrate.state(options) is State.AHEAD
    assert await migrate.check(options) == [State.AHEAD.value]
    with pytest.raises(MigrationError, match="newer version"):
        await migrate.upgrade(options)


async def test_a_database_that_does_not_exist_is_absent(options: EngineOptions) -> None:
    elsewhere = EngineOptions(options.url + "_elsewhere")
    assert await migrate.state(elsewhere) is State.ABSENT


async def test_an_open_database_must_be_current(options: EngineOptions) -> None:
    database = Database(options)
    with pytest.raises(MigrationError, match="backstay db upgrade"):
        await migrate.require_current(database)
    await migrate.upgrade(options)
    await migrate.require_current(database)
    assert await migrate.schema_fault(database) is None
    await database.dispose()


async def test_drift_is_reported(options: EngineOptions) -> None:
    await migrate.upgrade(options)
    await execute(
        options,
        "DROP INDEX ix_items_owner_id_id",
        "ALTER TABLE users RENAME COLUMN name TO full_name",
    )
    problems = await migrate.check(options)
    assert problems == [
        "Models and database differ, add column: users.name.",
        "Models and database differ, add index: ix_items_owner_id_id.",
    ]


async def test_what_operators_add_is_a_remark(options: EngineOptions) -> None:
    await migrate.upgrade(options)
    await execute(
        options,
        "ALTER TABLE users ADD COLUMN shoe_size INTEGER CONSTRAINT ck_feet CHECK (shoe_size > 0)",
        "CREATE INDEX ix_mine ON items (title)",
        "CREATE TABLE of_somebody_else (id INTEGER)",
    )
    problems, remarks = await migrate.examine(options)
    assert problems == []
    added = " belongs to no model, and no migration made it: it is left as it is."
    assert remarks == [
        f"The index ix_mine of items{added}",
        f"The table of_somebody_else{added}",
        f"The check constraint ck_feet of users{added}",
        f"The column shoe_size of users{added}",
    ]


async def test_tables_are_dropped_by_force_only(options: EngineOptions) -> None:
    await migrate.upgrade(options)
    with pytest.raises(MigrationError, match=r"drop [\w, ]+ with every row"):
        await migrate.downgrade(options, "base")
    assert await migrate.check(options) == []


@pytest.mark.parametrize("revision", ["unheard_of", "+99"])
async def test_an_unknown_revision_gives_a_sentence(options: EngineOptions, revision: str) -> None:
    with pytest.raises(MigrationError, match=r"^[A-Z].*\.$"):
        await migrate.upgrade(options, revision)


FAILING = """
def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""


async def test_a_migration_that_fails_leaves_nothing(
    options: EngineOptions, tmp_path: Path
) -> None:
    histories = history_in(tmp_path / "versions", FAILING)
    with pytest.raises(MigrationError, match="nowhere"):
        await migrate.upgrade(options, histories=histories)
    assert await migrate.state(options) is State.EMPTY
    await execute(options, "CREATE TABLE half (id INTEGER)", "CREATE TABLE users (id INTEGER)")


REBUILDING = """
def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.alter_column("name", type_=sa.String(300))
"""
ORPHANING = """
def upgrade():
    op.execute("DELETE FROM users")
"""
USER = (
    "INSERT INTO users (id, email, password_hash, security_epoch, created_at, updated_at, version)"
    " VALUES ('{id}', 'a@example.org', '', 0, '2026-01-01', '2026-01-01', 1)"
)
SESSION = (
    "INSERT INTO sessions (id, user_id, epoch, generation, token_hash, rotations, user_agent,"
    " address, created_at, last_used_at, idle_expires_at, expires_at) VALUES ('{id}', '{id}', 0, 0,"
    " '', '[]', '', '', '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-01')"
)


async def with_a_session(options: EngineOptions) -> None:
    await migrate.upgrade(options)
    name = "0" * 31 + "1"
    await execute(options, USER.format(id=name), SESSION.format(id=name))


async def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(
    options: EngineOptions, tmp_path: Path
) -> None:
    await with_a_session(options)
    histories = history_in(tmp_path / "versions", REBUILDING)
    assert await migrate.upgrade(options, histories=histories) == ["later_0001"]
    database = Database(options)
    assert await database.reader.scalar(text("SELECT count(*) FROM sessions")) == 1
    await database.dispose()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_migration_that_leaves_orphans_is_refused(
    options: EngineOptions, tmp_path: Path
) -> None:
    await with_a_session(options)
    histories = history_in(tmp_path / "versions", ORPHANING)
    with pytest.raises(MigrationError, match="sessions would refer to nothing"):
        await migrate.upgrade(options, histories=histories)
    assert await migrate.check(options) == []


async def test_waiting_too_long_for_the_migration_lock_is_an_error(
    options: EngineOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_SECONDS", 0.2)
    await migrate.upgrade(options, "+1")
    other = writer_engine(options)
    async with other.begin() as connection:
        lock = "1" if options.is_sqlite else f"pg_advisory_xact_lock({transaction.LOCK})"
        await connection.execute(text(f"SELECT {lock}"))
        with pytest.raises(MigrationError, match="Somebody else"):
            await migrate.upgrade(options)
    await other.dispose()
    assert (await migrate.upgrade(options))[-1] == head()


@pytest.mark.usefixtures("threads_end")
async def test_an_unreachable_database_gives_a_sentence(options: EngineOptions) -> None:
    nowhere, told = (
        ("sqlite+aiosqlite:////nowhere/at/all.db", "its folder is missing. Make it")
        if options.is_sqlite
        else ("postgresql+asyncpg://somebody:secret@127.0.0.1:1/nothing", "cannot be reached")
    )
    with pytest.raises(MigrationError, match=told) as caught:
        await migrate.upgrade(EngineOptions(nowhere))
    assert "secret" not in str(caught.value)


async def test_a_revision_holds_what_the_models_add(options: EngineOptions, tmp_path: Path) -> None:
    await migrate.upgrade(options)
    tests = History("tests", tmp_path / "versions")
    histories = (PLATFORM, tests)
    asked: dict[str, Any] = {"history": tests, "histories": histories}
    path = await migrate.revision(options, "Books and shelves", **asked)
    assert path.name == "0001_books_and_shelves.py"
    written = path.read_text()
    assert "sa.DateTime(timezone=True)" in written
    assert "backstay" not in written
    assert await migrate.upgrade(options, histories=histories) == ["tests_0001"]
    assert await migrate.check(options, histories) == []
    with pytest.raises(MigrationError, match="nothing to write"):
        await migrate.revision(options, "Nothing", **asked)
    database = Database(options)
    assert await migrate.schema_fault(database, histories) is None
    assert await database.reader.scalar(text(f"SELECT count(*) FROM {Book.__tablename__}")) == 0
    await database.dispose()
    path = await migrate.revision(options, "By hand", empty=True, **asked)
    assert path.name == "0002_by_hand.py"
    with pytest.raises(MigrationError, match="behind tests: run"):
        await migrate.revision(options, "Too early", **asked)


UPGRADING = """
import asyncio, os, sys
from backstay.db import migrate
from backstay.db.options import EngineOptions
pids = []
for _ in range(4):
    pids.append(os.fork())
    if pids[-1] == 0:
        print(len(asyncio.run(migrate.upgrade(EngineOptions(sys.argv[1])))), flush=True)
        os._exit(0)
sys.exit(any(os.waitpid(pid, 0)[1] for pid in pids))
"""


async def test_processes_that_upgrade_at_once_all_succeed(options: EngineOptions) -> None:
    (output,) = run_at_once(1, [sys.executable, "-c", UPGRADING, options.url])
    assert sorted(map(int, output.split())) == [0, 0, 0, len(revisions(scripts((PLATFORM,))))]
    assert await migrate.check(options) == []


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_an_index_that_was_interrupted_is_built_anew(options: EngineOptions) -> None:
    await migrate.upgrade(options, "platform_0015")
    await execute(options, "CREATE INDEX ix_jobs_free ON jobs (due_at)")
    assert await migrate.upgrade(options, "platform_0016") == ["platform_0016"]
    await migrate.upgrade(options)
    assert await migrate.examine(options) == ([], [])
