"""Shows what is found of jobs that wait, failed, lost their worker, or that nobody knows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from backstay.cli.checks import Subject
from backstay.cli.checks.jobs import schedules_finding
from backstay.core.clock import new_id
from backstay.core.schedule import every
from backstay.features.system.commands.purging import PurgeJobs
from backstay.jobs.tables import Job, Schedule
from tests.cli.checks.looking import look, subject_of
from tests.features.steps import execute


def ago() -> datetime:
    """Two hours ago; not since this module was loaded, which may be long ago itself."""
    return datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def subject(seeded_url: str, tmp_path: Path) -> Subject:
    return subject_of(tmp_path, DB_URL=seeded_url)


async def told_of(subject: Subject, check: str, state: str, **values: Any) -> str:
    """What a check says once there is a job like this."""
    subject.compose()
    assert subject.backstay is not None
    row = {
        "id": new_id(), "position": 1, "name": "PurgeJobs", "payload": "{}", "queue": "default",
        "state": state, "max_attempts": 3, "actor": "system", "request_id": "", "address": "",
        "traceparent": "", "is_cancelled": False, "created_at": ago(), "due_at": ago(),
    }  # fmt: skip
    await execute(subject.backstay, insert(Job).values(row | values))
    await subject.backstay.close()
    return (await look(subject, f"jobs.{check}"))[f"jobs.{check}"]


async def test_jobs_that_nobody_claims_are_told(subject: Subject) -> None:
    told = await told_of(subject, "waiting", "queued")
    assert told.startswith("error: Jobs have waited: 1 of default for 7")
    assert "backstay worker" in told


async def test_jobs_that_were_given_up_are_told(subject: Subject) -> None:
    failed = {"finished_at": ago(), "error_code": "mail.not_sent", "name": "SendMail"}
    told = await told_of(subject, "failed", "failed", **failed)
    assert "within a day: 1 SendMail (mail.not_sent)." in told
    assert "backstay jobs retry --dead" in told


async def test_jobs_that_lost_their_worker_are_told(subject: Subject) -> None:
    told = await told_of(subject, "lost", "running")
    assert told.startswith("warning: 1 jobs are not held by any worker")


async def test_jobs_of_unknown_commands_are_told(subject: Subject) -> None:
    told = await told_of(subject, "unknown", "queued", name="Gone")
    assert "does not know the commands of jobs: 1 Gone." in told


async def test_overdue_schedules_are_told(subject: Subject) -> None:
    assert (await look(subject, "jobs.schedules"))["jobs.schedules"].startswith("note: No worker")
    subject.compose()
    assert subject.backstay is not None
    row = insert(Schedule).values(name="PurgeJobs", slot=ago())
    await execute(subject.backstay, row)
    await subject.backstay.close()
    told = (await look(subject, "jobs.schedules"))["jobs.schedules"]
    assert told.startswith("note: Overdue, so that no worker seems to be alive: PurgeJobs.")


def test_overdue_schedules_are_an_error_outside_local() -> None:
    plan, now = [every("1h", PurgeJobs())], datetime(2026, 11, 1, 12, 10, tzinfo=UTC)
    for hour, severity in ((12, "ok"), (10, "error")):
        slots = {"PurgeJobs": now.replace(hour=hour, minute=0)}
        assert schedules_finding(plan, now, slots, local=False).severity == severity
    assert schedules_finding(plan, now, {}, local=False).severity == "warning"
    assert schedules_finding([], now, {}, local=False).severity == "ok"
