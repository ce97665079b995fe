"""The command that puts a user into a tier."""

from uuid import UUID

from backstay import (
    Command,
    Forbidden,
    FromPath,
    PermissionSpec,
    Preconditions,
    Principal,
    PrincipalChanges,
    Sender,
    Transaction,
    handles,
)
from backstay.features.tiers.queries import GetTier
from backstay.features.tiers.schemas import UserTier
from backstay.features.users.commands.people import locked_user
from backstay.features.users.queries.authority import check_authority

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
