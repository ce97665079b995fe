"""How the console shows the audit trail."""

from backstay import AdminView
from backstay.features.system.queries.activity import ListActivity

ACTIVITY = AdminView(
    list=ListActivity,
    title="Audit trail",
    columns=("message", "created_at", "user_id", "actor", "outcome", "code", "address", "targets"),
)
