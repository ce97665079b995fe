"""The state of the application, the messages that it accepts, and the audit trail."""

from backstay.core.feature import Feature
from backstay.core.schedule import every
from backstay.features.system import routes
from backstay.features.system.commands import backups, bulk, jobs, maintenance, purging
from backstay.features.system.commands.backups import MakeBackup
from backstay.features.system.commands.purging import (
    PurgeActivity,
    PurgeIdempotencyKeys,
    PurgeJobs,
    PurgeMetricMinutes,
)
from backstay.features.system.queries import activity, minutes, probes, resources, settings
from backstay.features.system.queries import backups as backup_queries
from backstay.features.system.queries import bulk as bulk_queries
from backstay.features.system.queries import jobs as job_queries

feature = Feature(
    name="system",
    modules=(
        purging,
        jobs,
        maintenance,
        backups,
        probes,
        activity,
        job_queries,
        backup_queries,
        resources,
        minutes,
        settings,
        bulk,
        bulk_queries,
    ),
    routes=(routes.probe_routes, routes.routes, routes.operation_routes, routes.bulk_routes),
    schedule=(
        every("1d", PurgeActivity()),
        every("1h", PurgeIdempotencyKeys()),
        every("1h", PurgeJobs()),
        every("1h", PurgeMetricMinutes()),
        every(lambda settings: settings.backup.interval, MakeBackup()),
    ),
    personal_data={"activity": activity.ExportActivity},
    foundation=True,
)
