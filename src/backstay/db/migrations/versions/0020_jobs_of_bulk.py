"""The rows of a user's bulk action are found by an index of their own, also when they are over.

In a new database the index is made in the transaction of the other revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "platform_0020"
down_revision = "platform_0016"
branch_labels = None
depends_on = None

in_transaction = False

ROWS = "substr(sequence, 1, 5) = 'bulk:'"


def upgrade() -> None:
    bind, is_text = op.get_bind(), op.get_context().as_sql
    alone = is_text or bind.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    op.drop_index("ix_jobs_rows", "jobs", if_exists=True, postgresql_concurrently=alone)
    op.create_index(
        "ix_jobs_rows",
        "jobs",
        ["user_id", "sequence", "position"],
        postgresql_where=sa.text(ROWS),
        sqlite_where=sa.text(ROWS),
        postgresql_concurrently=alone,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_rows", "jobs")
