"""Says whom the health of the application asks."""

from backstay.composition.adapters import Adapters
from backstay.composition.backups import BackupLog
from backstay.composition.schema import SchemaCheck
from backstay.core.jobs import JobStore
from backstay.core.ports import PrincipalChannel
from backstay.observability.health import ServiceHealth


def health_for(
    adapters: Adapters,
    store: JobStore,
    channel: PrincipalChannel,
    schema: SchemaCheck,
    backups: BackupLog,
    *,
    lacks_mail: bool,
) -> ServiceHealth:
    """The health of what the application depends on; see `ServiceHealth`."""
    checked = adapters.database, adapters.links, store, channel, schema.fault
    return ServiceHealth(
        *checked,
        adapters.maintenance.current,
        lacks_mail=lacks_mail,
        backup_fault=backups.fault if backups.interval else None,
    )
