"""Commands that give roles to users and take them away."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.clock import minutes
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import Conflict, NotFound
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PermissionSpec
from backstay.core.representation import Preconditions
from backstay.db.session import Reader, Transaction
from backstay.features.access.commands.authority import Authority, authority_over
from backstay.features.access.commands.roles import locked_role
from backstay.features.access.model import Role, RoleMember
from backstay.features.access.queries.accounts import RequireSuperuser, RequireUser
from backstay.features.access.queries.grants import grants_of
from backstay.features.access.queries.membership import GetMembership
from backstay.features.access.schemas import Assignment, Membership

ASSIGN = PermissionSpec("roles", "assign", description="Give users roles")
UNASSIGN = PermissionSpec("roles", "unassign", description="Take roles from users")


class _AlreadyAssigned(Conflict):
    code, title = "access.already_assigned", "The user has this role"


class AssignRole(Command[Assignment]):
    """Give a user a role."""

    permission = ASSIGN
    fresh = minutes(5)

    role_id: FromPath[UUID]
    user_id: FromPath[UUID]


@handles(AssignRole)
async def assign_role(
    command: AssignRole,
    session: Transaction,
    reader: Reader,
    send: Sender,
    changes: PrincipalChanges,
) -> Assignment:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session)
    before = await _vetted(command, role, authority, reader)
    if await session.get(RoleMember, (role.id, command.user_id)) is not None:
        raise _AlreadyAssigned
    session.add(RoleMember(role_id=role.id, user_id=command.user_id))
    await session.flush()
    await _settle(command, before, authority, changes)
    return Assignment(role_id=role.id, user_id=command.user_id)


class UnassignRole(Command[None]):
    """Take a role from a user."""

    permission = UNASSIGN
    fresh = minutes(5)

    role_id: FromPath[UUID]
    user_id: FromPath[UUID]


@handles(UnassignRole)
async def unassign_role(
    command: UnassignRole,
    session: Transaction,
    reader: Reader,
    send: Sender,
    preconditions: Preconditions,
    changes: PrincipalChanges,
) -> None:
    authority = await authority_over(command, send)
    role = await locked_role(command.role_id, session)
    before = await _vetted(command, role, authority, reader)
    member = await session.get(RoleMember, (role.id, command.user_id))
    if member is None:
        raise NotFound
    preconditions.check(Assignment(role_id=role.id, user_id=command.user_id))
    await session.delete(member)
    await session.flush()
    if role.is_superuser:
        await send.as_system()(RequireSuperuser())
    await _settle(command, before, authority, changes)


async def _vetted(
    command: AssignRole | UnassignRole, role: Role, authority: Authority, reader: Reader
) -> Membership:
    """What the user's roles add up to; refuses a sender who may not give or take this role."""
    ask = authority.send.as_system()
    await ask(RequireUser(user_id=command.user_id))
    authority.over(role)
    grants = (await grants_of(reader, [role.id]))[role.id]
    authority.over_grants({grant.permission: grant.as_grant() for grant in grants})
    before = await ask(GetMembership(user_id=command.user_id))
    authority.over(before)
    return before


async def _settle(
    command: AssignRole | UnassignRole,
    before: Membership,
    authority: Authority,
    changes: PrincipalChanges,
) -> None:
    """Refuse a gain that the sender does not hold.

    Without a role with restrictions, a user may gain what lower roles grant.
    """
    changes.touch(command.user_id)
    after = await authority.send.as_system()(GetMembership(user_id=command.user_id))
    authority.over_grants(after.gains(before))
