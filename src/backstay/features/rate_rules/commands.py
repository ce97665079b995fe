"""The command that creates the tier of new users."""

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import ActivityNote
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.session import Transaction
from backstay.features.rate_rules.model import Tier
from backstay.features.rate_rules.schemas import TierName


class EnsureTier(Command[None]):
    """Create a tier, unless it exists."""

    permission = SYSTEM_ONLY

    name: TierName


@handles(EnsureTier)
async def ensure_tier(command: EnsureTier, session: Transaction, note: ActivityNote) -> None:
    if await session.scalar(select(Tier.id).where(Tier.name == command.name)) is not None:
        note.skip()
    else:
        session.add(Tier(name=command.name, description="Every new user has it."))
