"""Attempts at jobs that do not count, and an index of those that run."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0009"
down_revision = "platform_0008"
branch_labels = None
depends_on = None

RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("spared", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        "ix_jobs_running_due_at",
        "jobs",
        ["due_at"],
        postgresql_where=RUNNING,
        sqlite_where=RUNNING,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_running_due_at", "jobs")
    op.drop_column("jobs", "spared")
