"""The audit trail names the operator who sent a message at a command line."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0015"
down_revision = "platform_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("activity", sa.Column("operator", sa.String(200), nullable=True))


def downgrade() -> None:
    op.drop_column("activity", "operator")
