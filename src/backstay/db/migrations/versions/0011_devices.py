"""Sessions know which client rotates their tokens, users the devices they sign in from."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0011"
down_revision = "platform_0010"
branch_labels = None
depends_on = None

ADDED = ("client_hash", "former_client_hash")


def upgrade() -> None:
    for name in ADDED:
        op.add_column("sessions", sa.Column(name, sa.LargeBinary(32), nullable=True))
    op.add_column("sessions", sa.Column("shared_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "devices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("device_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_devices_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("user_id", "device_hash", name="uq_devices_user_id_device_hash"),
    )
    op.create_index("ix_devices_last_seen_at", "devices", ["last_seen_at"])


def downgrade() -> None:
    op.drop_table("devices")
    for name in ("shared_at", *reversed(ADDED)):
        op.drop_column("sessions", name)
