"""Shows what is found of backups: old, unproven, unencrypted, or of no use for this PostgreSQL."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from backstay.backups.making import make
from backstay.backups.table import Backup
from backstay.cli.checks import Subject
from backstay.core.backups import BackupState
from backstay.core.clock import new_id
from tests.cli.checks.looking import look, subject_of
from tests.features.steps import execute


async def told_of(subject: Subject, state: str, hours: float) -> str:
    """What is said of the latest backup once there is one like this."""
    subject.compose()
    assert subject.backstay is not None
    then = datetime.now(UTC) - timedelta(hours=hours)
    row = {
        "id": new_id(), "name": "b", "location": "./b", "state": state, "reason": "", "size": 1,
        "seconds": 1.0, "started_at": then, "finished_at": then,
    }  # fmt: skip
    await execute(subject.backstay, insert(Backup).values(row))
    await subject.backstay.close()
    return (await look(subject, "backups.recent"))["backups.recent"]


async def recent(subject: Subject) -> str:
    """What is said of the latest backup."""
    told = (await look(subject, "backups.recent"))["backups.recent"]
    await subject.close()
    return told


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


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_proven_backup_must_be_there(seeded_url: str, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, DB_URL=seeded_url, BACKUP_DIR=str(tmp_path / "kept"))
    subject.compose()
    assert subject.backstay is not None
    report = await make(subject.settings)
    assert report.state is BackupState.PROVEN
    row = {name: value for name, value in asdict(report).items() if name != "removed"}
    await execute(subject.backstay, insert(Backup).values(id=new_id(), **row))
    await subject.backstay.close()
    assert await recent(subject) == "ok: 0 hours old, proven by a restore "
    kept = (tmp_path / "kept").glob(f"{report.name}.*")
    (copy,) = (each for each in kept if each.suffix != ".json")
    copy.write_bytes(copy.read_bytes()[:-1])
    assert f"has {report.size - 1} bytes instead of {report.size}." in await recent(subject)
    copy.unlink()
    gone = f"warning: {copy}, the latest proven backup, cannot be read: No such file or directory."
    assert gone in await recent(subject)
    (tmp_path / "kept" / f"{report.name}.json").unlink()
    assert f"There is no backup {report.name} in " in await recent(subject)


async def test_no_backup_at_all_is_a_note_in_local(seeded_url: str, tmp_path: Path) -> None:
    found = await look(subject_of(tmp_path, DB_URL=seeded_url), "backups.recent")
    assert found["backups.recent"].startswith("note: Workers make none")


async def test_backups_that_stay_here_need_no_key(tmp_path: Path) -> None:
    found = await look(subject_of(tmp_path, BACKUP_INTERVAL="60"), "backups.key")
    assert found["backups.key"].startswith("note: Backups are not encrypted. Set BACKUP_KEY")


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
