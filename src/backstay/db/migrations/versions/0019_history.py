"""The history of an object, and jobs that failed, are found by an index.

In a new database the indexes are made in the transaction of the other revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "platform_0019"
down_revision = "platform_0018"
branch_labels = None
depends_on = None

in_transaction = False

DEAD = sa.text("state IN ('failed', 'cancelled')")


def upgrade() -> None:
    bind, is_text = op.get_bind(), op.get_context().as_sql
    alone = is_text or bind.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    is_sqlite = op.get_context().dialect.name == "sqlite"
    target = "json_extract(targets, '$.id')" if is_sqlite else "(targets ->> 'id')"
    for name, table, columns, which in (
        ("ix_activity_target_id", "activity", (target, "id"), None),
        ("ix_jobs_dead", "jobs", ("id",), DEAD),
    ):
        concurrently = alone and (is_text or is_sqlite or not _is_partitioned(table))
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=concurrently)
        op.create_index(
            name,
            table,
            [sa.text(each) for each in columns],
            postgresql_where=which,
            sqlite_where=which,
            postgresql_concurrently=concurrently,
        )


def _is_partitioned(table: str) -> bool:
    """Whether an operator has partitioned it: PostgreSQL then refuses CONCURRENTLY."""
    asked = sa.text("SELECT relkind = 'p' FROM pg_class WHERE oid = CAST(:name AS regclass)")
    return bool(op.get_bind().scalar(asked, {"name": table}))


def downgrade() -> None:
    op.drop_index("ix_jobs_dead", "jobs")
    op.drop_index("ix_activity_target_id", "activity")
