"""Confirming an e-mail address that was proven elsewhere."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges
from backstay.core.errors import Conflict
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.core.ports import Clock
from backstay.db.queries import one_or_404
from backstay.db.session import Transaction
from backstay.features.users.model import User
from backstay.features.users.schemas import Email


class ConfirmEmail(Command[None]):
    """Note that a person reads the mail of an address. A pending one takes the old one's place."""

    permission = SYSTEM_ONLY

    user_id: UUID
    email: Email


@handles(ConfirmEmail)
async def confirm_email(
    command: ConfirmEmail, session: Transaction, clock: Clock, changes: PrincipalChanges
) -> None:
    living = select(User).where(User.id == command.user_id, User.deleted_at.is_(None))
    user = await one_or_404(session, living, lock=True)
    if command.email == user.pending_email:
        user.email, user.pending_email = user.pending_email, None
        user.email_verified_at = clock()
    elif command.email != user.email:
        raise Conflict("The address was changed at the same moment.")
    user.email_verified_at = user.email_verified_at or clock()
    changes.touch(user.id)
