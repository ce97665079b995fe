"""Commands that create, change and delete the rate limits of a tier."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from backstay import (
    SYSTEM_ONLY,
    AppSettings,
    Command,
    Feature,
    FieldError,
    Forbidden,
    FromPath,
    Grant,
    Invalid,
    Preconditions,
    Principal,
    PrincipalChanges,
    Sender,
    Transaction,
    handles,
    one_or_404,
    optional,
)
from backstay.features.rate_rules.model import RateLimit
from backstay.features.rate_rules.schemas import TierName
from backstay.features.tiers.commands.tiers import (
    UPDATE,
    CreateTier,
    check_everywhere,
    locked_tier,
)
from backstay.features.tiers.queries import GetRateLimit
from backstay.features.tiers.schemas import Period, RateLimitDetail, RuleName, RulePath, Times


class CreateRateLimit(Command[RateLimitDetail]):
    """Set how often the users of a tier may ask for a path."""

    permission = UPDATE

    tier: FromPath[str]
    path: RulePath
    limit: Times
    period: Period
    name: RuleName | None = None


@handles(CreateRateLimit)
async def create_rate_limit(
    command: CreateRateLimit,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    features: tuple[Feature, ...],
    settings: AppSettings,
    send: Sender,
    changes: PrincipalChanges,
) -> RateLimitDetail:
    _check_authority(command.tier, principal, grant)
    tier = await locked_tier(command.tier, session)
    limit = RateLimit(**command.model_dump(exclude={"tier"}), tier_id=tier.id)
    _check_path(limit, features, settings)
    session.add(limit)
    await session.flush()
    changes.touch_everyone()
    return await send.as_system()(GetRateLimit(tier=tier.name, id=limit.id))


class PathLimit(BaseModel):
    """How often a path may be asked for."""

    model_config = ConfigDict(frozen=True)

    path: RulePath
    limit: Times
    period: Period


class CreateTierWithLimits(Command[None]):
    """Create a tier together with its rate limits."""

    permission = SYSTEM_ONLY

    name: TierName
    limits: tuple[PathLimit, ...] = ()


@handles(CreateTierWithLimits)
async def create_tier_with_limits(command: CreateTierWithLimits, send: Sender) -> None:
    await send(CreateTier(name=command.name))
    for each in command.limits:
        await send(CreateRateLimit(tier=command.name, **each.model_dump()))


class UpdateRateLimit(Command[RateLimitDetail]):
    """Change the named fields of a rate limit."""

    permission = UPDATE

    tier: FromPath[str]
    id: FromPath[UUID]
    path: RulePath = optional()
    limit: Times = optional()
    period: Period = optional()
    name: RuleName | None = optional()


@handles(UpdateRateLimit)
async def update_rate_limit(
    command: UpdateRateLimit,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    preconditions: Preconditions,
    features: tuple[Feature, ...],
    settings: AppSettings,
    send: Sender,
    changes: PrincipalChanges,
) -> RateLimitDetail:
    _check_authority(command.tier, principal, grant)
    limit = await _locked(command, session)
    shown = GetRateLimit(tier=command.tier, id=limit.id)
    preconditions.check(await send.as_system()(shown))
    fields = command.changes()
    has_moved = fields.get("path", limit.path) != limit.path
    for name, value in fields.items():
        setattr(limit, name, value)
    if has_moved:
        _check_path(limit, features, settings)
    await session.flush()
    changes.touch_everyone()
    return await send.as_system()(shown)


class DeleteRateLimit(Command[None]):
    """Delete a rate limit; what it was for falls under the next best."""

    permission = UPDATE

    tier: FromPath[str]
    id: FromPath[UUID]


@handles(DeleteRateLimit)
async def delete_rate_limit(
    command: DeleteRateLimit,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    preconditions: Preconditions,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    _check_authority(command.tier, principal, grant)
    limit = await _locked(command, session)
    preconditions.check(await send.as_system()(GetRateLimit(tier=command.tier, id=limit.id)))
    await session.delete(limit)
    changes.touch_everyone()


async def _locked(command: UpdateRateLimit | DeleteRateLimit, session: Transaction) -> RateLimit:
    tier = await locked_tier(command.tier, session)
    query = select(RateLimit).where(RateLimit.id == command.id, RateLimit.tier_id == tier.id)
    return await one_or_404(session, query, lock=True)


def _check_authority(tier: str, principal: Principal, grant: Grant) -> None:
    """Refuse users who would change the limits of their own tier, unless they are superusers."""
    check_everywhere(grant)
    if tier == principal.tier and not principal.is_superuser:
        raise Forbidden("Only a superuser changes the limits of their own tier.")


def _check_path(limit: RateLimit, features: tuple[Feature, ...], settings: AppSettings) -> None:
    """Refuse a path that matches no route whose requests are counted by tier."""
    versioned = f"{settings.root_path}/v1"
    if not any(
        limit.rule.holds_for(operation.path)
        for feature in features
        for table in feature.routes
        for operation in table.operations(settings.root_path)
        if operation.has_tier_limit
    ):
        raise Invalid(
            errors=(
                FieldError(
                    "path",
                    "unknown_route",
                    "No route whose requests are counted by tier has this path: name one as "
                    f"/openapi.json does, such as {versioned}/users/{{id}}, or the beginning of "
                    "some with * behind it",
                ),
            )
        )
