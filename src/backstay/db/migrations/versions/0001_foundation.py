"""People, their roles and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "platform_0001"
down_revision = None
branch_labels = ("platform",)
depends_on = None

LIVING = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    _users()
    _sessions()
    _roles()
    _permissions()
    _grants()


def downgrade() -> None:
    for table in (
        "field_rules",
        "role_permissions",
        "permission_fields",
        "permissions",
        "role_members",
        "roles",
        "sessions",
        "users",
    ):
        op.drop_table(table)


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid()),
        sa.Column("updated_by", sa.Uuid()),
        sa.Column("version", sa.Integer(), nullable=False),
    ]


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("pending_email", sa.String(254)),
        sa.Column("username", sa.String(32)),
        sa.Column("name", sa.String(100)),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("email_verified_at", sa.DateTime(timezone=True)),
        sa.Column("blocked_at", sa.DateTime(timezone=True)),
        sa.Column("security_epoch", sa.Integer(), nullable=False),
        *_stamps(),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    _unique_among_the_living("users", "email")
    _unique_among_the_living("users", "username")


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("rotations", sa.JSON(), nullable=False),
        sa.Column("fingerprint_hash", sa.LargeBinary(32)),
        sa.Column("user_agent", sa.String(300), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idle_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("end_reason", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        _dependent("sessions", "user_id", "users"),
    )
    op.create_index("ix_sessions_user_id_id", "sessions", ["user_id", "id"])
    op.create_index("ix_sessions_idle_expires_at", "sessions", ["idle_expires_at"])


def _roles() -> None:
    op.create_table(
        "roles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("is_superuser", sa.Boolean(), nullable=False),
        *_stamps(),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
    )
    _unique_among_the_living("roles", "name")
    op.create_table(
        "role_members",
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("role_id", "user_id", name="pk_role_members"),
        _dependent("role_members", "role_id", "roles"),
        _dependent("role_members", "user_id", "users"),
    )
    op.create_index("ix_role_members_user_id", "role_members", ["user_id"])


def _permissions() -> None:
    op.create_table(
        "permissions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("operation", sa.String(64)),
        sa.Column("description", sa.Text(), nullable=False),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_permissions"),
        sa.UniqueConstraint("key", name="uq_permissions_key"),
    )
    op.create_table(
        "permission_fields",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("permission_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_permission_fields"),
        sa.UniqueConstraint(
            "permission_id",
            "source",
            "name",
            name="uq_permission_fields_permission_id_source_name",
        ),
        _dependent("permission_fields", "permission_id", "permissions"),
    )


def _grants() -> None:
    op.create_table(
        "role_permissions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("permission_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_role_permissions"),
        sa.UniqueConstraint(
            "role_id", "permission_id", name="uq_role_permissions_role_id_permission_id"
        ),
        _dependent("role_permissions", "role_id", "roles"),
        _dependent("role_permissions", "permission_id", "permissions"),
    )
    op.create_index("ix_role_permissions_permission_id", "role_permissions", ["permission_id"])
    op.create_table(
        "field_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("field_id", sa.Uuid(), nullable=False),
        sa.Column("effect", sa.String(8), nullable=False),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_field_rules"),
        sa.UniqueConstraint("grant_id", "field_id", name="uq_field_rules_grant_id_field_id"),
        _dependent("field_rules", "grant_id", "role_permissions"),
        _dependent("field_rules", "field_id", "permission_fields"),
    )
    op.create_index("ix_field_rules_field_id", "field_rules", ["field_id"])


def _dependent(table: str, column: str, owner: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{owner}"
    return sa.ForeignKeyConstraint([column], [f"{owner}.id"], name=name, ondelete="CASCADE")


def _unique_among_the_living(table: str, column: str) -> None:
    op.create_index(
        f"uq_{table}_{column}",
        table,
        [column],
        unique=True,
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    )
