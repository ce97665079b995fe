"""The tables of roles, their members, and their grants with scope and field rules."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.errors import Conflict
from backstay.core.permissions import Scope, Source
from backstay.db.base import Base, Entity, SoftDelete
from backstay.db.faults import taken_by
from backstay.features.access.schemas import Effect


class _RoleNameTaken(Conflict):
    code, title = "access.role_name_taken", "A role of this name exists"


class Role(SoftDelete, Entity):
    """A named set of grants. The level orders roles; a superuser role passes every check."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    level: Mapped[int] = mapped_column(default=0)
    is_superuser: Mapped[bool] = mapped_column(default=False)


role_name = Index(
    "uq_roles_name",
    Role.name,
    unique=True,
    postgresql_where=Role.deleted_at.is_(None),
    sqlite_where=Role.deleted_at.is_(None),
)
taken_by(role_name, _RoleNameTaken)


class _GrantExists(Conflict):
    code, title = "access.grant_exists", "The role has this permission"


class _FieldRuleExists(Conflict):
    code, title = "access.field_rule_exists", "The grant has a rule on this field"


class Permission(Entity):
    """A row for a permission that the code declares."""

    __tablename__ = "permissions"

    key: Mapped[str] = mapped_column(String(200), unique=True)
    resource: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    operation: Mapped[str | None] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")


class PermissionField(Entity):
    """A field of the messages that a permission guards; a nested one has a path."""

    __tablename__ = "permission_fields"
    __table_args__ = (UniqueConstraint("permission_id", "source", "name"),)

    permission_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("permissions.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(200))
    source: Mapped[Source] = mapped_column(String(8))
    type: Mapped[str] = mapped_column(String(64))


class RolePermission(Entity):
    """A grant: a role has a permission at a scope."""

    __tablename__ = "role_permissions"
    __table_args__ = (taken_by(UniqueConstraint("role_id", "permission_id"), _GrantExists),)

    role_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("roles.id", ondelete="CASCADE"))
    permission_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("permissions.id", ondelete="CASCADE"), index=True
    )
    scope: Mapped[Scope] = mapped_column(String(8))


class FieldRule(Entity):
    """A field that a grant allows or denies."""

    __tablename__ = "field_rules"
    __table_args__ = (taken_by(UniqueConstraint("grant_id", "field_id"), _FieldRuleExists),)

    grant_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("role_permissions.id", ondelete="CASCADE")
    )
    field_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("permission_fields.id", ondelete="CASCADE"), index=True
    )
    effect: Mapped[Effect] = mapped_column(String(8))


class RoleMember(Base):
    """A user who has a role."""

    __tablename__ = "role_members"

    role_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
