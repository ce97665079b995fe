"""Shows that a worker makes backups, and that metrics and health tell of those of the cluster."""

import shutil
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from backstay.backups.table import Backup
from backstay.composition import Backstay
from backstay.core.schedule import settled
from backstay.features.system import feature
from backstay.features.system.commands.backups import LAST_TRY, MakeBackup
from backstay.jobs.tables import Job
from backstay.settings import Settings
from backstay.testing.postgres_server import PostgresServer


@pytest.fixture
def variables(database_kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    if database_kind == "sqlite":
        return {"BACKUP_INTERVAL": "3600"}
    server: PostgresServer = request.getfixturevalue("postgres")
    return {"BACKUP_INTERVAL": "3600", "BACKUP_PG_BIN": str(server.programs)}


def _value(text: str, name: str) -> float:
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def test_a_backup_of_the_schedule_is_seen_by_everybody(
    backstay: Backstay, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/health")).json()["checks"]["backup"] == "degraded"
    before = (await client.get("/metrics")).text
    assert _value(before, "backstay_backup_interval_seconds") == 3600
    assert _value(before, "backstay_backup_last_proven_timestamp_seconds") == 0
    assert await backstay.system(MakeBackup()) == "proven"
    assert (await client.get("/health")).json()["checks"]["backup"] == "ok"
    after = (await client.get("/metrics")).text
    assert _value(after, "backstay_backup_last_proven_timestamp_seconds") > 1e9
    assert _value(after, "backstay_backup_last_size_bytes") > 1000
    assert _value(after, 'backstay_backup_last_state{state="proven"}') == 1


async def test_one_that_is_too_old_degrades_without_a_reason(
    backstay: Backstay, client: httpx.AsyncClient
) -> None:
    await backstay.system(MakeBackup())
    row = await backstay.database.reader.one_or_none(select(Backup.started_at))
    moved = update(Backup).values(started_at=row[0] - timedelta(hours=3))
    await backstay.database.write(moved)
    health = (await client.get("/health")).json()
    assert (health["status"], health["checks"]["backup"]) == ("degraded", "degraded")
    assert "backup" not in health.get("reasons", {})


async def test_a_clock_that_was_wrong_hides_no_failure(
    backstay: Backstay, client: httpx.AsyncClient
) -> None:
    await backstay.system(MakeBackup())
    row = await backstay.database.reader.one_or_none(select(Backup.started_at))
    moved = update(Backup).values(started_at=row[0] + timedelta(days=300))
    await backstay.database.write(moved)
    shutil.rmtree(backstay.settings.backup.dir)
    Path(backstay.settings.backup.dir).touch()
    assert await backstay.system(MakeBackup(attempt=LAST_TRY)) == "failed"
    assert (await client.get("/health")).json()["checks"]["backup"] == "degraded"
    assert _value((await client.get("/metrics")).text, 'backstay_backup_last_state{state="fai') == 1
    (reason,) = await backstay.database.reader.rows(
        select(Backup.reason).where(Backup.state == "failed")
    )
    assert reason[0].startswith(backstay.settings.backup.dir)


async def test_a_failed_backup_is_tried_again_later(backstay: Backstay) -> None:
    shutil.rmtree(backstay.settings.backup.dir, ignore_errors=True)
    Path(backstay.settings.backup.dir).touch()
    assert await backstay.system(MakeBackup(attempt=LAST_TRY)) == "failed"
    waiting = select(Job.payload).where(Job.name == "MakeBackup")
    assert await backstay.database.reader.rows(waiting) == []
    assert await backstay.system(MakeBackup()) == "failed"
    assert await backstay.database.reader.rows(waiting) == [('{"attempt":2}',)]
    states = await backstay.database.reader.rows(select(Backup.state))
    assert states == [("failed",)] * 2


def test_the_period_comes_from_the_settings(settings: Settings) -> None:
    names = {each.name for each in settled(feature.schedule, settings)}
    assert "MakeBackup" in names
    without = settings.backup.model_copy(update={"interval": 0})
    names = {
        each.name
        for each in settled(feature.schedule, settings.model_copy(update={"backup": without}))
    }
    assert "MakeBackup" not in names
