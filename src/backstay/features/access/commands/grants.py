"""Commands that change which permissions roles have, at which scope and with which fields."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.clock import minutes
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import FieldError, Invalid
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.representation import Preconditions
from backstay.db.queries import one_or_404
from backstay.db.session import Reader, Transaction
from backstay.features.access.commands.authority import Authority, authority_over
from backstay.features.access.commands.roles import locked_role
from backstay.features.access.model import FieldRule, Permission, PermissionField, RolePermission
from backstay.features.access.queries.grants import grants_of
from backstay.features.access.schemas import Effect, FieldRuleDetail, GrantDetail

GRANT = PermissionSpec("permissions", "grant", description="Grant permissions to roles")
REVOKE = PermissionSpec("permissions", "revoke", description="Revoke permissions from roles")


class GrantPermission(Command[GrantDetail]):
    """Grant a role a permission."""

    permission = GRANT
    fresh = minutes(5)
    touches = ("roles",)

    role_id: UUID
    permission_id: UUID
    scope: Scope


@handles(GrantPermission)
async def grant_permission(
    command: GrantPermission,
    session: Transaction,
    reader: Reader,
    send: Sender,
    changes: PrincipalChanges,
) -> GrantDetail:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session)
    await authority.over_role(role)
    permission = select(Permission).where(Permission.id == command.permission_id)
    key = (await one_or_404(session, permission)).key
    authority.over_free(key, command.scope)
    session.add(RolePermission(**command.model_dump()))
    await _changed(session, authority, changes)
    return await _detail(command.role_id, command.permission_id, reader)


class ChangeScope(Command[GrantDetail]):
    """Change how far a grant reaches."""

    permission = GRANT
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    permission_id: FromPath[UUID]
    scope: Scope


@handles(ChangeScope)
async def change_scope(
    command: ChangeScope,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> GrantDetail:
    authority = await authority_over(command, send)
    held = await _locked(command.role_id, command.permission_id, session, authority)
    before = await _detail(command.role_id, command.permission_id, reader)
    preconditions.check(before)
    if command.scope is Scope.ANY:
        authority.over_free(before.permission, command.scope)
    held.scope = command.scope
    await _changed(session, authority, changes)
    return await _detail(command.role_id, command.permission_id, reader)


class RevokePermission(Command[None]):
    """Take a permission from a role, together with its field rules."""

    permission = REVOKE
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    permission_id: FromPath[UUID]


@handles(RevokePermission)
async def revoke_permission(
    command: RevokePermission,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> None:
    authority = await authority_over(command, send)
    held = await _locked(command.role_id, command.permission_id, session, authority)
    preconditions.check(await _detail(command.role_id, command.permission_id, reader))
    await session.delete(held)
    await _changed(session, authority, changes)


class AddFieldRule(Command[FieldRuleDetail]):
    """Allow or deny a field of what a role is granted."""

    permission = GRANT
    fresh = minutes(5)
    touches = ("roles",)

    role_id: UUID
    permission_id: UUID
    field_id: UUID
    effect: Effect


@handles(AddFieldRule)
async def add_field_rule(
    command: AddFieldRule,
    session: Transaction,
    send: Sender,
    reader: Reader,
    changes: PrincipalChanges,
) -> FieldRuleDetail:
    authority = await authority_over(command, send)
    held = await _locked(command.role_id, command.permission_id, session, authority)
    field = select(PermissionField.id).where(
        PermissionField.id == command.field_id,
        PermissionField.permission_id == command.permission_id,
    )
    if await session.scalar(field) is None:
        unknown = "no field of this permission: GET /rbac/permissions lists them"
        raise Invalid(errors=(FieldError("field_id", "unknown_field", unknown),))
    if command.effect is Effect.ALLOW:
        before = await _detail(command.role_id, command.permission_id, reader)
        authority.over_free(before.permission, before.scope)
    session.add(FieldRule(grant_id=held.id, field_id=command.field_id, effect=command.effect))
    await _changed(session, authority, changes)
    return _rule(command, await _detail(command.role_id, command.permission_id, reader))


class ChangeFieldRule(Command[FieldRuleDetail]):
    """Turn what a field rule does around."""

    permission = GRANT
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    permission_id: FromPath[UUID]
    field_id: FromPath[UUID]
    effect: Effect


@handles(ChangeFieldRule)
async def change_field_rule(
    command: ChangeFieldRule,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> FieldRuleDetail:
    authority = await authority_over(command, send)
    rule = await _loosened(command, session, reader, authority, preconditions)
    rule.effect = command.effect
    await _changed(session, authority, changes)
    return _rule(command, await _detail(command.role_id, command.permission_id, reader))


class RemoveFieldRule(Command[None]):
    """Remove a field rule."""

    permission = REVOKE
    fresh = minutes(5)
    touches = ("roles",)

    role_id: FromPath[UUID]
    permission_id: FromPath[UUID]
    field_id: FromPath[UUID]


@handles(RemoveFieldRule)
async def remove_field_rule(
    command: RemoveFieldRule,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> None:
    authority = await authority_over(command, send)
    rule = await _loosened(command, session, reader, authority, preconditions)
    await session.delete(rule)
    await _changed(session, authority, changes)


async def _loosened(
    command: ChangeFieldRule | RemoveFieldRule,
    session: Transaction,
    reader: Reader,
    authority: Authority,
    preconditions: Preconditions,
) -> FieldRule:
    """The field rule, locked, if the sender may give the permission without it.

    Every change of a rule may open a field: without its last ALLOW, for example, a source has no
    limits.
    """
    held = await _locked(command.role_id, command.permission_id, session, authority)
    query = select(FieldRule).where(
        FieldRule.grant_id == held.id, FieldRule.field_id == command.field_id
    )
    rule = await one_or_404(session, query, lock=True)
    before = await _detail(command.role_id, command.permission_id, reader)
    preconditions.check(_rule(command, before))
    authority.over_free(before.permission, before.scope)
    return rule


async def _locked(
    role_id: UUID, permission_id: UUID, session: Transaction, authority: Authority
) -> RolePermission:
    """A grant, locked until the transaction ends; its role must be below the sender."""
    await authority.over_role(await locked_role(role_id, session))
    query = select(RolePermission).where(
        RolePermission.role_id == role_id, RolePermission.permission_id == permission_id
    )
    return await one_or_404(session, query, lock=True)


async def _changed(session: Transaction, authority: Authority, changes: PrincipalChanges) -> None:
    await session.flush()
    changes.touch_everyone()
    await authority.settle()


async def _detail(role_id: UUID, permission_id: UUID, reader: Reader) -> GrantDetail:
    grants = (await grants_of(reader, [role_id]))[role_id]
    return next(grant for grant in grants if grant.permission_id == permission_id)


def _rule(
    command: AddFieldRule | ChangeFieldRule | RemoveFieldRule, grant: GrantDetail
) -> FieldRuleDetail:
    return next(rule for rule in grant.fields if rule.field_id == command.field_id)
