"""Sessions know when their user last proved who they are, and who impersonates them.

The audit trail names the impersonator.
"""

import sqlalchemy as sa
from alembic import op

revision = "platform_0017"
down_revision = "platform_0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sessions", sa.Column("actor_id", sa.Uuid(), nullable=True))
    op.add_column("sessions", sa.Column("actor_session_id", sa.Uuid(), nullable=True))
    op.add_column("activity", sa.Column("impersonator_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("activity", "impersonator_id")
    for column in ("actor_session_id", "actor_id", "proven_at"):
        op.drop_column("sessions", column)
