"""Jobs and schedules."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0007"
down_revision = "platform_0006"
branch_labels = None
depends_on = None

UNFINISHED = sa.text("finished_at IS NULL")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE jobs_position")
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Text()),
        sa.Column("unique_key", sa.Text()),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("traceparent", sa.String(55), nullable=False),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.SmallInteger()),
        sa.Column("note", sa.String(200)),
        sa.Column("result", sa.JSON()),
        sa.Column("error_code", sa.String(100)),
        sa.Column("error", sa.String(500)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    _of_unfinished("ix_jobs_due_at_position", "due_at", "position")
    _of_unfinished("ix_jobs_sequence_position", "sequence", "position")
    _of_unfinished("uq_jobs_unique_key", "unique_key", unique=True)
    op.create_index("ix_jobs_user_id_id", "jobs", ["user_id", "id"])
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index("ix_jobs_position", "jobs", ["position"])
    _schedules()


def downgrade() -> None:
    op.drop_table("schedules")
    op.drop_table("jobs")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE jobs_position")


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )


def _of_unfinished(name: str, *columns: str, unique: bool = False) -> None:
    op.create_index(
        name,
        "jobs",
        list(columns),
        unique=unique,
        postgresql_where=UNFINISHED,
        sqlite_where=UNFINISHED,
    )
