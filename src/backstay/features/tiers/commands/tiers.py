"""Commands that create, change and delete tiers."""

from sqlalchemy import select

from backstay import (
    AdminSettings,
    Command,
    Conflict,
    Forbidden,
    FromPath,
    Grant,
    PermissionSpec,
    Preconditions,
    PrincipalChanges,
    Reader,
    Scope,
    Sender,
    Transaction,
    handles,
    one_or_404,
    optional,
)
from backstay.features.rate_rules.model import Tier
from backstay.features.rate_rules.schemas import TierName
from backstay.features.tiers.queries import tier_detail
from backstay.features.tiers.schemas import TierDescription, TierDetail
from backstay.features.users.queries.tiers import CountUsersOfTier

CREATE = PermissionSpec("tiers", "create", description="Create tiers")
UPDATE = PermissionSpec("tiers", "update", description="Change tiers and their rate limits")
DELETE = PermissionSpec("tiers", "delete", description="Delete tiers")


class _TierInUse(Conflict):
    code, title = "tiers.in_use", "Users are in this tier"


class _TierProtected(Conflict):
    code, title = "tiers.protected", "New users receive this tier"


class CreateTier(Command[TierDetail]):
    """Create a tier; it has no rate limits of its own yet."""

    permission = CREATE

    name: TierName
    description: TierDescription = ""


@handles(CreateTier)
async def create_tier(
    command: CreateTier, session: Transaction, reader: Reader, grant: Grant
) -> TierDetail:
    check_everywhere(grant)
    session.add(Tier(**command.model_dump()))
    await session.flush()
    return await tier_detail(command.name, reader)


class UpdateTier(Command[TierDetail]):
    """Change the named fields of a tier; its users follow when it is renamed."""

    permission = UPDATE

    tier: FromPath[str]
    name: TierName = optional()
    description: TierDescription = optional()


@handles(UpdateTier)
async def update_tier(
    command: UpdateTier,
    session: Transaction,
    reader: Reader,
    grant: Grant,
    preconditions: Preconditions,
    settings: AdminSettings,
    changes: PrincipalChanges,
) -> TierDetail:
    check_everywhere(grant)
    tier = await locked_tier(command.tier, session)
    preconditions.check(await tier_detail(tier.name, reader))
    fields = command.changes()
    if tier.name == settings.tier_name and fields.get("name", tier.name) != tier.name:
        raise _TierProtected("Set ADMIN_TIER_NAME to another tier before you rename this one.")
    for name, value in fields.items():
        setattr(tier, name, value)
    await session.flush()
    changes.touch_everyone()
    return await tier_detail(tier.name, reader)


class DeleteTier(Command[None]):
    """Delete a tier that nobody is in, with its rate limits."""

    permission = DELETE

    tier: FromPath[str]


@handles(DeleteTier)
async def delete_tier(
    command: DeleteTier,
    session: Transaction,
    reader: Reader,
    grant: Grant,
    preconditions: Preconditions,
    settings: AdminSettings,
    send: Sender,
) -> None:
    check_everywhere(grant)
    tier = await locked_tier(command.tier, session)
    preconditions.check(await tier_detail(tier.name, reader))
    if users := await send.as_system()(CountUsersOfTier(tier=tier.name)):
        raise _TierInUse(f"Users in it: {users}, deleted ones included. Assign them another first.")
    if tier.name == settings.tier_name:
        raise _TierProtected("Set ADMIN_TIER_NAME to another tier before you delete this one.")
    await session.delete(tier)


async def locked_tier(name: str, session: Transaction) -> Tier:
    """The tier, locked until the transaction ends.

    Raises:
        NotFound: there is no tier of this name.
    """
    return await one_or_404(session, select(Tier).where(Tier.name == name), lock=True)


def check_everywhere(grant: Grant) -> None:
    """Refuse a grant with the scope OWN.

    Raises:
        Forbidden: it has that scope, which reaches nothing, because tiers have no owner.
    """
    if grant.scope is Scope.OWN:
        raise Forbidden("Nobody owns a tier: this needs the permission at the scope ANY.")
