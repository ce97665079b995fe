"""Claims find queued jobs by an index of their kind, whatever else waits."""

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
    for name, which in QUEUED.items():
        op.drop_index(name, "jobs", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            name,
            "jobs",
            ["due_at", "position"],
            postgresql_where=sa.text(which),
            sqlite_where=sa.text(which),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    for name in QUEUED:
        op.drop_index(name, "jobs")
