"""The checks of backups: whether they are made, proven, kept apart, and can be made here."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from backstay.cli.checks.database import REACHABLE, SCHEMA
from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.core.backups import BackupError
from backstay.settings import Settings

_SEE = "See docs/guides/backups.md of Backstay."
_MAKE = "Make one, and read what it says: backstay db backup"
_AGAIN = "backstay db backup"
_VERSION = text("SELECT current_setting('server_version_num')::int")


@check("backups.recent", "DB_", "BACKUP_", after=SCHEMA)
async def recent(subject: Subject) -> list[Finding]:
    """Whether the latest one that a worker should have made is there, and was proven."""
    from backstay.composition.backups import BackupLog

    log = BackupLog(subject.database, subject.settings)
    latest, proven = await log.read()
    if latest is None:
        told, mend = "None was made yet.", f"A worker makes the first one. {_MAKE}"
        if not log.interval:
            told = "Workers make none (BACKUP_INTERVAL=0), and none was made by hand."
            mend = "Set BACKUP_INTERVAL, unless others back this database up."
        return [note(told) if subject.is_local else warning(told, mend)]
    if log.interval and (fault := await log.fault()):
        told = f"{fault[0].upper()}{fault[1:]}."
        return [note(told, _MAKE) if subject.is_local else error(told, _MAKE)]
    if proven is None:
        return [warning("The latest backup that was made by hand is not proven.", _MAKE)]
    if lost := _lost(subject.settings, proven.name, proven.location):
        return [warning(lost, f"Look from where the workers run. If it is so there, too: {_AGAIN}")]
    return [ok(f"{_age(proven.started_at, proven[-1])} old, proven by a restore")]


def _lost(settings: Settings, name: str, location: str) -> str:
    """What is wrong with the file of a proven backup, if it is in the folder BACKUP_DIR."""
    from backstay.backups.catalogue import Catalogue
    from backstay.backups.making import key_of
    from backstay.backups.storage import storage_of

    if settings.backup.dir.startswith("s3://") or storage_of(settings.backup).address != location:
        return ""
    try:
        manifest, _ = Catalogue(storage_of(settings.backup), key_of(settings)).manifest(name)
    except BackupError as error:
        return str(error).partition(": `")[0].rstrip(".") + "."
    faults = (_fault(Path(location, each.name), each.size) for each in manifest.files)
    return next(filter(None, faults), "")


def _fault(path: Path, size: int) -> str:
    """What is wrong with a file that should have so many bytes."""
    try:
        found = path.stat().st_size
    except OSError as error:
        return f"{path}, the latest proven backup, cannot be read: {error.strerror}."
    if found != size:
        return f"{path}, the latest proven backup, has {found} bytes instead of {size}."
    return ""


def _age(then: datetime, now: datetime) -> str:
    hours = (now - then).total_seconds() / 3600
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"


@check("backups.key", "BACKUP_")
def key(subject: Subject) -> list[Finding]:
    """Whether they are encrypted before they leave this machine."""
    backup = subject.settings.backup
    if backup.key is not None:
        return [ok("they are encrypted; keep BACKUP_KEY elsewhere, too")]
    if str(backup.dir).startswith("s3://"):
        told = "Backups are kept elsewhere, and not encrypted."
        return [warning(told, f"Set BACKUP_KEY, which backstay generate-secrets prints. {_SEE}")]
    if not backup.interval:
        return []
    mend = "Set BACKUP_KEY before they are copied elsewhere: backstay generate-secrets"
    return [note("Backups are not encrypted.", mend)]


@check("backups.programs", "DB_", "BACKUP_", after=REACHABLE)
async def programs(subject: Subject) -> list[Finding]:
    """Whether this machine has what backs its PostgreSQL up."""
    if subject.options.is_sqlite:
        return []
    from backstay.backups.postgres_programs import programs_for

    major = int(await subject.database.reader.scalar(_VERSION) or 0) // 10_000
    try:
        found = programs_for(major, subject.settings.backup.pg_bin)
    except BackupError as failure:
        cause, _, mend = str(failure).partition(". ")
        return [warning(f"{cause}.", mend)] if subject.settings.backup.interval else [note(cause)]
    return [ok(f"{found.dump}, of version {found.major}")]
