"""Commands that put users into tiers."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.context import ActivityNote, PrincipalChanges, Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec
from backstay.core.principal import Principal
from backstay.core.representation import Preconditions
from backstay.db.session import Transaction
from backstay.features.tiers.queries import GetTier
from backstay.features.users.commands.people import locked_user
from backstay.features.users.model import User
from backstay.features.users.queries.authority import check_authority
from backstay.features.users.schemas import UserTier

ASSIGN = PermissionSpec("tiers", "assign", description="Put users into tiers")


class AssignTier(Command[UserTier]):
    """Put a user into a tier, also a deleted one. Only superusers change their own."""

    permission = ASSIGN
    replaces = True

    id: FromPath[UUID]
    tier: str


@handles(AssignTier)
async def assign_tier(
    command: AssignTier,
    session: Transaction,
    principal: Principal,
    preconditions: Preconditions,
    send: Sender,
    changes: PrincipalChanges,
) -> UserTier:
    if command.id == principal.user_id and not principal.is_superuser:
        raise Forbidden("Only a superuser changes their own tier.")
    await check_authority(command, command.id, send)
    user = await locked_user(command.id, session, deleted=True)
    preconditions.check(UserTier(tier=user.tier))
    tier = await send.as_system()(GetTier(tier=command.tier))
    user.tier = tier.name
    changes.touch(user.id)
    return UserTier(tier=user.tier)


class GiveTier(Command[None]):
    """Put every user without a tier into this one."""

    permission = SYSTEM_ONLY

    tier: str


@handles(GiveTier)
async def give_tier(
    command: GiveTier, session: Transaction, changes: PrincipalChanges, note: ActivityNote
) -> None:
    if await session.update_where(User, User.tier.is_(None), tier=command.tier):
        changes.touch_everyone()
    else:
        note.skip()
