"""Shows what is found of backups: old, unproven, unencrypted, or of no use for this PostgreSQL."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from backstay.backups.table import Backup
from backstay.cli.checks import Subject
from backstay.core.clock import new_id
from tests.cli.checks.looking import look, subject_of
from tests.features.steps import execute

NOW = datetime.now(UTC)


async def told_of(subject: Subject, state: str, hours: float) -> str:
    """What is said of the latest backup once there is one like this."""
    subject.compose()
    assert subject.backstay is not None
    then = NOW - timedelta(hours=hours)
    row = {
        "id": new_id(), "name": "b", "location": "./b", "state": state, "reason": "", "size": 1,
        "seconds": 1.0, "started_at": then, "finished_at": then,
    }  # fmt: skip
    await execute(subject.backstay, insert(Backup).values(row))
    await subject.backstay.close()
    return (await look(subject, "backups.recent"))["backups.recent"]


@pytest.mark.parametrize(
    ("interval", "state", "hours", "told"),
    [
        ("3600", "proven", 1.0, "ok: 1 hours old, proven"),
        ("3600", "proven", 60.0, "note: The latest proven backup is too old."),
        ("3600", "failed", 1.0, "note: There is no proven backup."),
        ("0", "unproven", 1.0, "warning: The latest backup that was made by hand is not proven."),
        ("0", "proven", 72.0, "ok: 3 days old"),
    ],
)
async def test_the_latest_backup_is_judged(
    seeded_url: str, tmp_path: Path, interval: str, state: str, hours: float, told: str
) -> None:
    subject = subject_of(tmp_path, DB_URL=seeded_url, BACKUP_INTERVAL=interval)
    assert (await told_of(subject, state, hours)).startswith(told)


async def test_no_backup_at_all_is_a_note_in_local(seeded_url: str, tmp_path: Path) -> None:
    found = await look(subject_of(tmp_path, DB_URL=seeded_url), "backups.recent")
    assert found["backups.recent"].startswith("note: Workers make none")


async def test_backups_that_leave_the_machine_should_be_encrypted(tmp_path: Path) -> None:
    subject = subject_of(tmp_path, BACKUP_DIR="s3://bucket/shop")
    told = (await look(subject, "backups.key"))["backups.key"]
    assert told.startswith("warning: Backups are kept elsewhere, and not encrypted.")
    assert "backstay generate-secrets" in told


async def test_programs_that_do_not_fit_are_told(seeded_url: str, tmp_path: Path) -> None:
    given = {"DB_URL": seeded_url, "BACKUP_PG_BIN": str(tmp_path), "BACKUP_INTERVAL": "60"}
    found = await look(subject_of(tmp_path, **given), "backups.programs")
    if seeded_url.startswith("postgresql"):
        told = found["backups.programs"]
        assert told.startswith("warning: The server is PostgreSQL 18, and needs pg_dump")
        assert "BACKUP_PG_BIN" in told
    else:
        assert found.get("backups.programs", "") == ""
