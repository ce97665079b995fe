"""Commands with which the application itself, or the command line, creates tiers."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import ActivityNote, Sender
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.session import Transaction
from backstay.features.tiers.commands.rate_limits import CreateRateLimit
from backstay.features.tiers.commands.tiers import CreateTier
from backstay.features.tiers.model import Tier
from backstay.features.tiers.schemas import Period, RulePath, TierName, Times


class EnsureTier(Command[None]):
    """Create a tier, unless it exists."""

    permission = SYSTEM_ONLY

    name: TierName


@handles(EnsureTier)
async def ensure_tier(
    command: EnsureTier, session: Transaction, send: Sender, note: ActivityNote
) -> None:
    if await session.scalar(select(Tier.id).where(Tier.name == command.name)) is not None:
        note.skip()
    else:
        await send(CreateTier(name=command.name, description="Every new user has it."))


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
