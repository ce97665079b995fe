"""Shows that a migration on PostgreSQL never makes others wait long, and that it gets its lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.db import migrate
from backstay.db.engine import writer_engine
from backstay.db.migrations import applying
from backstay.db.migrations.runner import PLATFORM, History, MigrationError
from backstay.db.options import EngineOptions
from tests.db.shop import Shop
from tests.db.test_migrate import execute, head

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True),
]

COLOUR = """
def upgrade():
    op.create_table("first", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("users", sa.Column("colour", sa.String(9)))

def downgrade():
    op.drop_column("users", "colour")
    op.drop_table("first")
"""
INDEX = """
in_transaction = False

def upgrade():
    op.drop_index("ix_colour", if_exists=True, postgresql_concurrently=True)
    op.create_index("ix_colour", "users", ["colour"], postgresql_concurrently=True)

def downgrade():
    op.drop_index("ix_colour")
"""
LAST = """
def upgrade():
    op.create_table("last", sa.Column("id", sa.Integer(), primary_key=True))

def downgrade():
    op.drop_table("last")
"""


@pytest.fixture
async def shop(options: EngineOptions, tmp_path: Path) -> Shop:
    """A database with the platform's tables, and a revision that needs the lock of `users`."""
    quick = replace(options, migration_lock_timeout=0.2, migration_max_wait=60.0)
    await migrate.upgrade(quick)
    made = Shop(quick, History("shop", tmp_path / "versions"))
    made.with_file("0001_colour.py", COLOUR, None, head())
    return made


@asynccontextmanager
async def session(options: EngineOptions, *statements: str) -> AsyncIterator[AsyncConnection]:
    """Another session with an open transaction."""
    engine = writer_engine(options)
    async with engine.connect() as connection:
        for statement in statements:
            await connection.execute(text(statement))
        yield connection
    await engine.dispose()


class Told(list[str]):
    """The sentences of a migration; ``come`` is set at each."""

    def __init__(self) -> None:
        super().__init__()
        self.come = asyncio.Event()

    def __call__(self, sentence: str) -> None:
        self.append(sentence)
        self.come.set()

    async def next(self) -> str:
        self.come.clear()
        await self.come.wait()
        return self[-1]


READ = "SELECT count(*) FROM users"


async def test_readers_go_on_while_a_migration_waits(shop: Shop) -> None:
    told, limit = Told(), "SET lock_timeout = '20s'"  # far below the minute of tries
    async with session(shop.options, READ) as holder, session(shop.options, limit) as reader:
        await reader.commit()
        pid = await holder.scalar(text("SELECT pg_backend_pid()"))
        upgrade = asyncio.create_task(
            migrate.upgrade(shop.options, histories=shop.histories, tell=told)
        )
        while len(told) < 3:
            await reader.execute(text(READ))
            await reader.rollback()
        assert f"Waiting for users, locked by pid {pid} (backstay, idle in transaction" in told[-1]
        assert "trying again in" in told[-1]
        assert not upgrade.done()
        await holder.rollback()
        assert await upgrade == ["shop_0001"]
    assert await shop.sentence() == ""


async def test_a_lock_that_is_never_free_ends_in_a_sentence(shop: Shop) -> None:
    hurried = replace(shop.options, migration_lock_timeout=0.1, migration_max_wait=0.3)
    async with session(shop.options, READ):
        with pytest.raises(
            MigrationError, match=r"Waiting for users, locked by pid \d+ "
        ) as caught:
            await migrate.upgrade(hurried, histories=shop.histories)
    assert "that took longer than 0.3 s (DB_MIGRATION_MAX_WAIT). Nothing was changed." in str(
        caught.value
    )
    assert "0001_colour.py" not in str(caught.value)
    await execute(shop.options, "CREATE TABLE first (id INTEGER)")


async def test_a_downgrade_waits_in_the_same_way(shop: Shop) -> None:
    await shop.upgrade()
    told = Told()
    async with session(shop.options, READ) as holder:
        downgrade = asyncio.create_task(
            migrate.downgrade(shop.options, "shop@base", True, shop.histories, told)
        )
        await told.next()
        await holder.rollback()
        assert await downgrade == ["shop_0001"]


async def test_a_revision_may_run_outside_the_transaction(shop: Shop) -> None:
    shop.with_file("0002_index.py", INDEX, "shop_0001")
    shop.with_file("0003_last.py", LAST, "shop_0002")
    assert await shop.upgrade() == ["shop_0001", "shop_0002", "shop_0003"]
    assert await shop.sentence() == ""
    assert await shop.downgrade("shop@base") == ["shop_0003", "shop_0002", "shop_0001"]
    assert await shop.upgrade("shop@+2") == ["shop_0001", "shop_0002"]


async def test_an_index_waits_for_old_transactions_and_blocks_nobody(shop: Shop) -> None:
    shop.with_file("0002_index.py", INDEX, "shop_0001")
    await shop.upgrade("shop@0001")
    told = Told()
    async with session(shop.options, "UPDATE users SET name = name") as holder:
        one, two = (
            asyncio.create_task(migrate.upgrade(shop.options, histories=shop.histories, tell=told))
            for _ in range(2)
        )
        assert "pid" in await told.next()
        async with session(shop.options) as writer:
            await writer.execute(text("SET LOCAL lock_timeout = '30s'"))
            await writer.execute(text("UPDATE users SET version = version"))
        await holder.rollback()
        assert sorted([await one, await two]) == [[], ["shop_0002"]]
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_colour'::regclass"
    async with session(shop.options) as reader:
        assert await reader.scalar(text(valid)) is True


async def test_what_failed_outside_is_repeated(shop: Shop) -> None:
    shop.with_file("0002_index.py", INDEX.replace('["colour"]', '["nothing"]'), "shop_0001")
    with pytest.raises(MigrationError) as caught:
        await shop.upgrade()
    assert "outside of a transaction: what it did before that has stayed." in str(caught.value)
    assert "othing was changed" not in str(caught.value)
    assert "Applied before that: shop_0001." in str(caught.value)
    shop.with_file("0002_index.py", INDEX, "shop_0001")
    assert await shop.upgrade() == ["shop_0002"]


async def test_pgbouncer_is_refused_outside_the_transaction(shop: Shop) -> None:
    shop.with_file("0002_index.py", INDEX, "shop_0001")
    await shop.upgrade("shop@0001")
    with pytest.raises(MigrationError, match="which PgBouncer cannot"):
        await migrate.upgrade(replace(shop.options, pgbouncer=True), histories=shop.histories)


async def test_a_newer_version_that_was_quicker_is_told(shop: Shop) -> None:
    await shop.upgrade()
    await execute(shop.options, "UPDATE alembic_version SET version_num = 'shop_0009'")
    with pytest.raises(MigrationError, match="A newer version has just applied shop_0009"):
        await applying.apply(shop.options, (PLATFORM, shop.history), "head", (head(),), print)
