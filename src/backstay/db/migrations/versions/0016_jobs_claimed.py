"""Claims find queued jobs by an index of their kind, whatever else waits.

In a new database the indexes are made in the transaction of the other revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "platform_0016"
down_revision = "platform_0015"
branch_labels = None
depends_on = None

in_transaction = False

QUEUED = {
    "ix_jobs_tasks": "state = 'queued' AND queue = 'tasks'",
    "ix_jobs_free": "state = 'queued' AND queue <> 'tasks' AND sequence IS NULL",
    "ix_jobs_in_sequence": "state = 'queued' AND queue <> 'tasks' AND sequence IS NOT NULL",
}


def upgrade() -> None:
    bind, is_text = op.get_bind(), op.get_context().as_sql
    alone = is_text or bind.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    for name, which in QUEUED.items():
        op.drop_index(name, "jobs", if_exists=True, postgresql_concurrently=alone)
        op.create_index(
            name,
            "jobs",
            ["due_at", "position"],
            postgresql_where=sa.text(which),
            sqlite_where=sa.text(which),
            postgresql_concurrently=alone,
        )


def downgrade() -> None:
    for name in QUEUED:
        op.drop_index(name, "jobs")
