"""The command that puts users without a tier into one."""

from backstay.core.bus import handles
from backstay.core.context import ActivityNote, PrincipalChanges
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db.session import Transaction
from backstay.features.users.model import User


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
