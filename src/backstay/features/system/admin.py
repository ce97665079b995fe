"""The pages of operators in the console, and how it shows jobs, backups and the audit trail."""

from backstay import AdminPage, AdminView
from backstay.features.system.commands.jobs import CancelJob, RetryJob
from backstay.features.system.queries.activity import ListActivity
from backstay.features.system.queries.backups import GetBackupPolicy, ListBackups
from backstay.features.system.queries.bulk import ListBulk
from backstay.features.system.queries.jobs import ListJobs, ListQueues, ListSchedule
from backstay.features.system.queries.minutes import ListMetricMinutes
from backstay.features.system.queries.probes import GetHealth
from backstay.features.system.queries.settings import ListSettings

GROUP = "Operations"

DASHBOARD = AdminPage(
    path="dashboard", title="Dashboard", query=ListMetricMinutes, template="dashboard.html"
)
HEALTH = AdminPage(path="health", title="Health", group=GROUP, query=GetHealth)
QUEUES = AdminPage(path="queues", title="Queues", group=GROUP, query=ListQueues)
SCHEDULE = AdminPage(path="schedule", title="Schedule", group=GROUP, query=ListSchedule)
BULK = AdminPage(path="bulk", title="Bulk actions", group=GROUP, query=ListBulk)
SETTINGS = AdminPage(path="settings", title="Settings", group=GROUP, query=ListSettings)

JOBS = AdminView(
    list=ListJobs,
    group=GROUP,
    columns=("name", "state", "created_at", "due_at", "queue", "attempts", "error_code"),
    actions=(RetryJob, CancelJob),
)
BACKUPS = AdminView(
    list=ListBackups,
    group=GROUP,
    columns=("name", "state", "started_at", "size", "seconds", "location", "reason", "restore"),
)
POLICY = AdminPage(path="backup-policy", title="Backup policy", group=GROUP, query=GetBackupPolicy)
ACTIVITY = AdminView(
    list=ListActivity,
    title="Audit trail",
    group=GROUP,
    columns=(
        *("message", "created_at", "user_id", "impersonator_id", "actor"),
        *("outcome", "code", "address", "targets"),
    ),
)
