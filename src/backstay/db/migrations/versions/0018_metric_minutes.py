"""What all processes count, one row per minute, for a day."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0018"
down_revision = "platform_0017"
branch_labels = None
depends_on = None

COUNTS = (
    *("requests", "errors", "refused", "limited"),
    *(f"bucket_{number}" for number in range(13)),
    *("sign_ins", "failed_sign_ins", "jobs_done", "jobs_failed", "cache_hits", "cache_misses"),
    *("jobs_due", "jobs_later", "connections_in_use", "connections_max"),
)


def upgrade() -> None:
    op.create_table(
        "metric_minutes",
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("minute", name="pk_metric_minutes"),
    )


def downgrade() -> None:
    op.drop_table("metric_minutes")
