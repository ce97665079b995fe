"""Queries about backups: those that were tried, and when and where they are made."""

from datetime import datetime

from sqlalchemy import case, func

from backstay.backups.table import Backup
from backstay.core.backups import BackupState
from backstay.core.bus import handles
from backstay.core.listing import Equals, ListQuery, Range
from backstay.core.masking import without_secrets
from backstay.core.messages import Query
from backstay.core.permissions import PermissionSpec
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.features.system.schemas.backups import BackupEntry, BackupPolicy
from backstay.settings import BackupSettings

LIST = PermissionSpec("backups", "list", description="See the backups, and where they are kept")
_OFF = "No backup is made by itself, because BACKUP_INTERVAL is 0."


class ListBackups(ListQuery[BackupEntry]):
    """The backups of the last 400 days that were tried, newest first; a rotation removes files."""

    permission = LIST
    sortable = ("started_at", "seconds", "size")

    state: Equals[BackupState] | None = None
    name: Equals[str] | None = None
    started_at: Range[datetime] | None = None
    seconds: Range[float] | None = None
    size: Range[int] | None = None


_place = "'" + func.replace(Backup.location, "'", "'\\''") + "'"
_restore = "backstay db restore " + Backup.name + " --from " + _place
BACKUPS = Listing(
    ListBackups, Backup, BackupEntry, columns={"restore": case((Backup.name != "", _restore))}
)


class GetBackupPolicy(Query[BackupPolicy]):
    """When and where backups are made."""

    permission = LIST


@handles(GetBackupPolicy)
async def get_backup_policy(
    query: GetBackupPolicy, backup: BackupSettings, principal: Principal, grant: Grant
) -> BackupPolicy:
    principal.check_reach(None, grant)
    return BackupPolicy(
        location=without_secrets(backup.dir),
        interval=backup.interval,
        keep=backup.keep,
        is_encrypted=backup.key is not None,
        note=None if backup.interval else _OFF,
    )
