"""Commands that make backups, and record those of the command line."""

from datetime import datetime, timedelta
from typing import Self

import structlog
from sqlalchemy import or_, select

from backstay.backups.table import Backup
from backstay.core.backups import BackupReport, Backups, BackupState
from backstay.core.bus import handles, prepares
from backstay.core.jobs import JobState
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec
from backstay.core.ports import Clock
from backstay.core.principal import Grant, Principal
from backstay.db.session import Transaction
from backstay.features.system.schemas.backups import BackupStarted
from backstay.jobs.outbox import Jobs
from backstay.jobs.statements import NOW
from backstay.jobs.tables import UNFINISHED, Job

LAST_TRY = 5
"""How often a backup is tried until the schedule asks for the next one."""
ROWS_KEPT = timedelta(days=400)
log = structlog.get_logger("backstay.backups")


class MakeBackup(Command[BackupState]):
    """Back the database up and prove the backup; one that fails is tried again, later each time."""

    permission = SYSTEM_ONLY
    job_timeout = 6 * 3600.0

    attempt: int = 1


@prepares(MakeBackup)
async def make_backup(command: MakeBackup, backups: Backups) -> BackupReport:
    return await backups.make()


@handles(MakeBackup)
async def note_backup(
    command: MakeBackup, report: BackupReport, session: Transaction, jobs: Jobs, clock: Clock
) -> BackupState:
    await session.insert_one(_row_of(report))
    await session.delete_where(Backup, Backup.started_at < clock() - ROWS_KEPT)
    about = {"name": report.name, "location": report.location, "seconds": report.seconds}
    if report.state is BackupState.PROVEN:
        log.info("backup proven", size=report.size, removed=len(report.removed), **about)
    else:
        log.error(f"backup {report.state}", reason=report.reason, **about)
    if report.state is BackupState.FAILED and command.attempt < LAST_TRY:
        delay = 300.0 * 2**command.attempt
        again = MakeBackup(attempt=command.attempt + 1)
        await jobs.as_system().enqueue(again, delay=delay, unique=f"{again.attempt}")
    return report.state


class StartBackup(Command[BackupStarted]):
    """Let a worker make a backup now; if one is being made, or is due, that one is returned."""

    permission = PermissionSpec("backups", "create", description="Make a backup")


_ASKED = "now"
_UNDER_WAY = (
    select(Job.id)
    .where(
        Job.unique_key.in_(
            [
                f"schedule:{MakeBackup.__name__}",
                *(f"{MakeBackup.__name__}:{key}" for key in (_ASKED, *range(2, LAST_TRY + 1))),
            ]
        ),
        UNFINISHED,
        or_(Job.state == JobState.RUNNING.value, Job.due_at <= NOW),
    )
    .limit(1)
)


@handles(StartBackup)
async def start_backup(
    command: StartBackup, session: Transaction, jobs: Jobs, principal: Principal, grant: Grant
) -> BackupStarted:
    principal.check_reach(None, grant)
    job_id = await session.scalar(_UNDER_WAY)
    if job_id is None:
        job_id = await jobs.as_system().enqueue(MakeBackup(), unique=_ASKED)
    return BackupStarted(id=job_id)


class RecordBackup(Command[None]):
    """Take note of a backup that was made by a command of the command line."""

    permission = SYSTEM_ONLY

    state: BackupState
    name: str
    location: str
    reason: str
    size: int
    seconds: float
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(cls, report: BackupReport) -> Self:
        """The command about a report."""
        return cls(**{name: getattr(report, name) for name in cls.model_fields})


@handles(RecordBackup)
async def record_backup(command: RecordBackup, session: Transaction) -> None:
    await session.insert_one(_row_of(command))


def _row_of(report: BackupReport | RecordBackup) -> Backup:
    return Backup(
        name=report.name,
        location=report.location,
        state=report.state.value,
        reason=report.reason,
        size=report.size,
        seconds=report.seconds,
        started_at=report.started_at,
        finished_at=report.finished_at,
    )
