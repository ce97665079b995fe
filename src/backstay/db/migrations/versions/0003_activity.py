"""The audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0003"
down_revision = "platform_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("message", sa.String(200), nullable=False),
        sa.Column("permission", sa.String(200)),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("code", sa.String(100)),
        sa.Column("status", sa.SmallInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_activity"),
    )
    op.create_index("ix_activity_user_id_id", "activity", ["user_id", "id"])


def downgrade() -> None:
    op.drop_table("activity")
