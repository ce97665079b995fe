"""Backups as servers and workers know them: when the last one was made, and who makes the next."""

from datetime import datetime

from sqlalchemy import Row, select

from backstay.backups.table import Backup
from backstay.core.backups import BackupReport, BackupState
from backstay.db.base import SecondsFromNow
from backstay.db.database import Database
from backstay.jobs.statements import NOW
from backstay.settings import Settings

_COLUMNS = (
    *(Backup.state, Backup.started_at, Backup.finished_at, Backup.seconds, Backup.size),
    *(Backup.name, Backup.location, NOW),
)
_PAST = Backup.started_at <= SecondsFromNow(3600.0)
"""One that a clock put further into the future would hide all that come after it."""
_LATEST = (
    select(*_COLUMNS).where(_PAST).order_by(Backup.started_at.desc(), Backup.id.desc()).limit(1)
)
_PROVEN = _LATEST.where(Backup.state == BackupState.PROVEN.value)

Told = Row[str, datetime, datetime, float, int, str, str, datetime]


class BackupLog:
    """What the table of backups says; ``interval`` is 0 without a schedule."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self.interval = settings.backup.interval

    async def read(self) -> tuple[Told | None, Told | None]:
        """The latest backup that was tried, and the latest proven one."""
        latest = await self._database.reader.one_or_none(_LATEST)
        if latest is None or latest.state == BackupState.PROVEN.value:
            return latest, latest
        return latest, await self._database.reader.one_or_none(_PROVEN)

    async def fault(self) -> str | None:
        """What is wrong with the backups, or None."""
        latest, proven = await self.read()
        if latest is None or proven is None:
            return "there is no proven backup"
        if latest.state != BackupState.PROVEN.value:
            return f"the latest backup is {latest.state}"
        age = (latest[-1] - proven.started_at).total_seconds()
        return "the latest proven backup is too old" if age > 2 * self.interval else None


class BackupsOfProcess:
    """Implements the port: what makes backups is loaded when the first one is due."""

    def __init__(self, settings: Settings, label: str) -> None:
        self._settings, self._label = settings, label

    async def make(self) -> BackupReport:
        from backstay.backups.making import make

        return await make(self._settings, self._label)
