"""The command that confirms an e-mail address, whose proof another feature has checked."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges
from backstay.core.errors import Conflict
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock
from backstay.db.session import Transaction
from backstay.features.users.commands.people import locked_user
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
    user = await locked_user(command.user_id, session)
    if command.email == user.pending_email:
        user.email, user.pending_email = user.pending_email, None
        user.email_verified_at = clock()
    elif command.email != user.email:
        raise Conflict("The address was changed at the same moment.")
    user.email_verified_at = user.email_verified_at or clock()
    changes.touch(user.id)
