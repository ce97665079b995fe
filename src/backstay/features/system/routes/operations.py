"""The routes of operators: jobs, queues, schedules and backups."""

from backstay.features.system.commands.backups import StartBackup
from backstay.features.system.commands.jobs import CancelJob, RetryJob
from backstay.features.system.queries.backups import GetBackupPolicy, ListBackups
from backstay.features.system.queries.jobs import GetJob, ListJobs, ListQueues, ListSchedule
from backstay.web.routes import Routes

operation_routes = Routes("/system", tag="system")
operation_routes.get("/jobs", ListJobs)
operation_routes.get("/jobs/{id}", GetJob)
operation_routes.post("/jobs/{id}/retry", RetryJob)
operation_routes.post("/jobs/{id}/cancel", CancelJob)
operation_routes.get("/queues", ListQueues)
operation_routes.get("/schedule", ListSchedule)
operation_routes.get("/backups", ListBackups)
operation_routes.post("/backups", StartBackup, location="/system/jobs/{id}", status=202)
operation_routes.get("/backups/policy", GetBackupPolicy)
