"""Runs the SQL of the guide about large tables, and shows that the application goes on with it."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from backstay.composition import Backstay, compose
from backstay.core.clock import first_id_at
from backstay.db import migrate
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.features.system.commands.purging import PurgeActivity
from backstay.testing import settings_with
from tests.guides import page
from tests.patient import PATIENT

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True),
]
OLD = """
INSERT INTO activity (id, created_at, actor, address, request_id, message, targets, fields, outcome)
VALUES ($1, now() - interval '400 days', 'system', '', '', 'Old', '{}', '[]', 'ok')
"""


@pytest.fixture
async def psql(seeded_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(seeded_url.replace("+asyncpg", "", 1))
    yield connection
    await connection.close()


@pytest.fixture
async def backstay(seeded_url: str, tmp_path: Path) -> AsyncIterator[Backstay]:
    backstay = compose(settings_with(seeded_url, tmp_path, LOG_ACTIVITY_DAYS="365", **PATIENT))
    yield backstay
    await backstay.close()


async def test_the_partitioned_trail_is_written_and_purged(
    psql: "asyncpg.Connection[asyncpg.Record]", backstay: Backstay
) -> None:
    prepare, divide, add, drop, vacuum = re.findall(
        r"^```postgresql\n(.*?)^```", page("scale"), re.DOTALL | re.MULTILINE
    )
    await psql.execute(OLD, first_id_at(datetime.now(UTC) - timedelta(days=400)))
    for block in (prepare, divide, add, add, vacuum):
        await psql.execute(block)
    assert await migrate.examine(backstay.database.options) == ([], [])
    await backstay.system(BeginMaintenance())
    assert await _messages(psql, "activity_first") >= {"Old", "BeginMaintenance"}
    await backstay.system(PurgeActivity())
    left = await _messages(psql, "activity")
    assert "Old" not in left
    assert left >= {"BeginMaintenance", "PurgeActivity"}
    await psql.execute(drop)
    await backstay.system(EndMaintenance())
    assert await _messages(psql, "activity") == {"EndMaintenance"}
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="concurrently"):
        await psql.execute("CREATE INDEX CONCURRENTLY ix_mine ON activity (message)")


async def test_a_migration_adds_an_index_to_the_partitioned_trail(
    psql: "asyncpg.Connection[asyncpg.Record]", backstay: Backstay
) -> None:
    for block in re.findall(r"^```postgresql\n(.*?)^```", page("scale"), re.DOTALL | re.MULTILINE)[
        :3
    ]:
        await psql.execute(block)
    options = backstay.database.options
    await migrate.downgrade(options, "platform_0018", True)
    await migrate.upgrade(options)
    assert await migrate.examine(options) == ([], [])


async def test_unique_keys_of_jobs_forbid_partitions(
    psql: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await psql.execute("CREATE TABLE parted (LIKE jobs) PARTITION BY RANGE (id)")
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="must include all partitioning"):
        await psql.execute("CREATE UNIQUE INDEX ON parted (unique_key) WHERE finished_at IS NULL")


async def _messages(psql: "asyncpg.Connection[asyncpg.Record]", table: str) -> set[str]:
    return {row["message"] for row in await psql.fetch(f"SELECT message FROM {table}")}
