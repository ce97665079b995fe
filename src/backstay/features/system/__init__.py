"""The state of the application, the messages that it accepts, and the audit trail."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.system import queries, routes
from backstay.features.system.commands import backups, bulk, jobs, maintenance, purging
from backstay.features.system.commands.backups import MakeBackup
from backstay.features.system.commands.purging import (
    PurgeActivity,
    PurgeIdempotencyKeys,
    PurgeJobs,
)

feature = Feature(
    name="system",
    modules=(purging, jobs, maintenance, backups, bulk, queries, queries.bulk),
    routes=(routes.probe_routes, routes.routes, routes.bulk_routes),
    schedule=(
        every("1d", PurgeActivity()),
        every("1h", PurgeIdempotencyKeys()),
        every("1h", PurgeJobs()),
        every(lambda settings: settings.backup.interval, MakeBackup()),
    ),
    personal_data={"activity": queries.ExportActivity},
    foundation=True,
)
