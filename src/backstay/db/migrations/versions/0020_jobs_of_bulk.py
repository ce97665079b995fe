"""The rows of a user's bulk action are found by an index of their own, also when they are over; the
index of finished jobs has no others, so that no claim looks for unfinished ones in it.

In a new database the indexes are made in the transaction of the other revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "platform_0020"
down_revision = "platform_0019"
branch_labels = None
depends_on = None

in_transaction = False

INDEXES = {
    "ix_jobs_rows": (["user_id", "sequence", "position"], "substr(sequence, 1, 5) = 'bulk:'"),
    "ix_jobs_finished_at": (["finished_at"], "finished_at IS NOT NULL"),
}


def upgrade() -> None:
    bind, is_text = op.get_bind(), op.get_context().as_sql
    alone = is_text or bind.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    for name, (columns, which) in INDEXES.items():
        op.drop_index(name, "jobs", if_exists=True, postgresql_concurrently=alone)
        op.create_index(
            name,
            "jobs",
            columns,
            postgresql_where=sa.text(which),
            sqlite_where=sa.text(which),
            postgresql_concurrently=alone,
        )


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "jobs")
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
