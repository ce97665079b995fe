"""What `/health` and `/readyz` ask, connected with what knows the answers."""

from collections.abc import Sequence

from backstay.composition.adapters import Adapters
from backstay.composition.backups import BackupLog
from backstay.core.jobs import JobStore
from backstay.core.ports import PrincipalChannel
from backstay.db import migrate
from backstay.db.base import Base
from backstay.db.checks import absence_faults
from backstay.db.database import Database
from backstay.db.migrations.runner import Histories
from backstay.observability.health import Ask, ServiceHealth


def health_for(
    adapters: Adapters,
    store: JobStore,
    channel: PrincipalChannel,
    backups: BackupLog,
    models: Sequence[type[Base]],
    histories: Histories,
    lacks_mail: bool,
) -> ServiceHealth:
    """The health of what the application depends on; see `ServiceHealth`."""
    backup_fault = backups.fault if backups.interval else None
    schema_fault = _schema_fault_of(adapters.database, models, histories)
    checked = adapters.database, adapters.links, store, channel, schema_fault
    return ServiceHealth(*checked, lacks_mail=lacks_mail, backup_fault=backup_fault)


def _schema_fault_of(database: Database, models: Sequence[type[Base]], histories: Histories) -> Ask:
    """What tells what is wrong with the schema of a database."""

    async def schema_fault() -> str | None:
        found = await migrate.schema_fault(database, histories)
        faults = () if found else await absence_faults(database, models)
        lacks = (
            f"The database lacks {len(faults)} tables or columns: `backstay db check` names them."
        )
        return found or (lacks if faults else None)

    return schema_fault
