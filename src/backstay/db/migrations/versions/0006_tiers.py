"""Tiers and their rate limits; every user is in a tier."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0006"
down_revision = "platform_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tiers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_tiers"),
        sa.UniqueConstraint("name", name="uq_tiers_name"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tier_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(200), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(100)),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_rate_limits"),
        sa.UniqueConstraint("tier_id", "path", name="uq_rate_limits_tier_id_path"),
        sa.ForeignKeyConstraint(
            ["tier_id"], ["tiers.id"], name="fk_rate_limits_tier_id_tiers", ondelete="CASCADE"
        ),
    )
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("tier", sa.String(64)))
        users.create_foreign_key(
            "fk_users_tier_tiers",
            "tiers",
            ["tier"],
            ["name"],
            onupdate="CASCADE",
            ondelete="RESTRICT",
        )
        users.create_index("ix_users_tier", ["tier"])


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_index("ix_users_tier")
        users.drop_constraint("fk_users_tier_tiers", type_="foreignkey")
        users.drop_column("tier")
    op.drop_table("rate_limits")
    op.drop_table("tiers")


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.Column("updated_by", sa.Uuid()),
        sa.Column("version", sa.Integer(), nullable=False),
    ]
