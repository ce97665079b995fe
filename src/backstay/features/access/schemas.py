"""The views that this feature returns, and the values that its messages pass to each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backstay.core.messages import View
from backstay.core.permissions import Scope, Source
from backstay.core.principal import UNLIMITED, Grant


class Effect(StrEnum):
    """What a field rule does."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """One row of the table of grants, with the level of the role that has it."""

    level: int
    permission: str
    scope: Scope
    rules: tuple[tuple[Source, str, Effect], ...] = ()


def merge_grants(rows: Iterable[RoleGrant]) -> dict[str, Grant]:
    """Merge the grants of several roles into one per permission: that of the highest role.

    Between roles of equal level ``ANY`` beats ``OWN`` and ``DENY`` beats ``ALLOW``.
    """
    by_permission: dict[str, list[RoleGrant]] = {}
    for row in rows:
        by_permission.setdefault(row.permission, []).append(row)
    return {key: _decide(held) for key, held in by_permission.items()}


def deciding_of(held: Sequence[RoleGrant]) -> list[RoleGrant]:
    """Those grants of one permission that count: the ones of the highest level."""
    level = max((row.level for row in held), default=0)
    return [row for row in held if row.level == level]


def _decide(held: list[RoleGrant]) -> Grant:
    deciding = deciding_of(held)
    scope = Scope.ANY if any(row.scope is Scope.ANY for row in deciding) else Scope.OWN
    allowed: dict[Source, set[str]] = {}
    denied: dict[Source, set[str]] = {}
    for source, name, effect in (rule for row in deciding for rule in row.rules):
        target = allowed if effect is Effect.ALLOW else denied
        target.setdefault(source, set()).add(name)
    return Grant(
        scope,
        {source: frozenset(names) for source, names in allowed.items()},
        {source: frozenset(names) for source, names in denied.items()},
    )


class DeclaredField(BaseModel):
    """A field of a message that a permission guards."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: Source
    type: str


class DeclaredPermission(BaseModel):
    """A permission as the code declares it, with the fields of the messages it guards."""

    model_config = ConfigDict(frozen=True)

    resource: str
    action: str
    operation: str | None
    description: str
    default_scope: Scope | None
    key: str
    fields: tuple[DeclaredField, ...]

    def field_names(self) -> set[tuple[Source, str]]:
        """The sources and names of its fields."""
        return {(field.source, field.name) for field in self.fields}


class DeclaredRole(BaseModel):
    """A role as the code declares it; ``grants`` are scopes by the key of the permission."""

    model_config = ConfigDict(frozen=True)

    name: str
    level: int
    description: str
    grants: dict[str, Scope]


@dataclass(frozen=True, slots=True)
class Membership:
    """What a user's roles add up to."""

    roles: tuple[str, ...]
    level: int
    is_superuser: bool
    grants: dict[str, Grant]

    def grant(self, permission: str) -> Grant | None:
        """The grant of a permission key, or None if it is not held."""
        return UNLIMITED if self.is_superuser else self.grants.get(permission)

    def gains(self, before: "Membership") -> dict[str, Grant]:
        """The grants that reach further than those of an earlier membership did."""
        if before.is_superuser:
            return {}
        return {
            key: grant
            for key, grant in self.grants.items()
            if key not in before.grants or not before.grants[key].covers(grant)
        }


NO_ROLES = Membership(roles=(), level=0, is_superuser=False, grants={})
EVERYTHING = Membership(roles=(), level=0, is_superuser=True, grants={})
"""The membership of the application itself."""


RoleName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
RoleDescription = Annotated[str, StringConstraints(max_length=10_000)]
Level = Annotated[int, Field(ge=0, le=1_000_000)]


class RoleSummary(View):
    """A role in a list."""

    id: UUID
    name: str
    description: str
    level: int
    is_superuser: bool
    is_deleted: bool
    created_at: datetime
    updated_at: datetime


class FieldRuleDetail(View):
    """A field that a grant allows or denies."""

    field_id: UUID
    name: str
    source: Source
    effect: Effect


class GrantDetail(View):
    """A permission that a role has, how far it reaches, and the rules on its fields."""

    role_id: UUID
    permission_id: UUID
    permission: str
    scope: Scope
    fields: tuple[FieldRuleDetail, ...]

    def as_grant(self) -> Grant:
        """The grant of a user who has no other role."""
        rules = tuple((rule.source, rule.name, rule.effect) for rule in self.fields)
        merged = merge_grants([RoleGrant(0, self.permission, self.scope, rules)])
        return merged[self.permission]


class RoleDetail(RoleSummary):
    """A role."""

    version: int
    grants: tuple[GrantDetail, ...]


class Assignment(View):
    """That a user has a role."""

    role_id: UUID
    user_id: UUID


class PermissionFieldDetail(View):
    """A field of the messages that a permission guards."""

    id: UUID
    name: str
    source: Source
    type: str


class PermissionDetail(View):
    """A permission that the code declares."""

    id: UUID
    key: str
    resource: str
    action: str
    operation: str | None
    description: str
    fields: tuple[PermissionFieldDetail, ...]


class EffectiveRule(View):
    """A field that somebody's roles, added up, allow or deny."""

    name: str
    source: Source
    effect: Effect


class RoleShare(View):
    """What a role of a user has to do with one permission.

    `scope` is null where it does not grant it. Only a role that `counts` decides: not a deleted
    one, nor one below another role that grants it, too.
    """

    id: UUID
    name: str
    level: int
    is_superuser: bool
    is_deleted: bool
    counts: bool
    scope: Scope | None
    fields: tuple[EffectiveRule, ...]


class Explanation(View):
    """Whether a user may do something, how far, and by which roles; `reasons` are sentences.

    `scope` and `fields` are what all roles add up to, as messages are authorised by it.
    """

    user_id: UUID
    permission: str
    is_allowed: bool
    is_active: bool
    is_superuser: bool
    scope: Scope | None
    fields: tuple[EffectiveRule, ...]
    roles: tuple[RoleShare, ...]
    reasons: tuple[str, ...]


class HeldPermission(View):
    """A permission that a user has."""

    id: UUID
    key: str
    resource: str
    action: str
    operation: str | None
    description: str
    scope: Scope
    fields: tuple[EffectiveRule, ...]


class Matrix(View):
    """Every permission and every role, with what each role holds.

    `details` describe the `permissions`, in the same order. Beyond 200 roles the lowest are left
    out: then it is not complete.
    """

    permissions: tuple[str, ...]
    roles: tuple[RoleDetail, ...]
    details: tuple[PermissionDetail, ...] = ()
    is_complete: bool = True


def rules_of(grant: Grant) -> tuple[EffectiveRule, ...]:
    """The field rules of a grant, in order."""
    rules = [
        EffectiveRule(name=name, source=source, effect=effect)
        for effect, named in ((Effect.ALLOW, grant.allowed), (Effect.DENY, grant.denied))
        for source, names in named.items()
        for name in names
    ]
    return tuple(sorted(rules, key=lambda rule: (rule.source, rule.name, rule.effect)))
