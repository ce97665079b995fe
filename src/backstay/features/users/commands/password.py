"""Storing a password that was proven elsewhere."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges
from backstay.core.errors import Conflict
from backstay.core.messages import SYSTEM_ONLY, Command
from backstay.db.session import Transaction
from backstay.features.users.commands.people import locked_user
from backstay.features.users.model import User


class StorePassword(Command[int]):
    """Store the hash of a password; the result is the user's security epoch.

    With ``end_sessions`` the epoch grows, which ends every session of the user, and a change of the
    e-mail address that is under way is given up: whoever asked for it may be why the password is
    new. Without it this is only the same password under better parameters. ``epoch`` is the one in
    which the old password was proven: whoever comes second is refused, and takes nothing back.
    """

    permission = SYSTEM_ONLY

    user_id: UUID
    password_hash: str
    end_sessions: bool
    epoch: int | None = None


@handles(StorePassword)
async def store_password(
    command: StorePassword, session: Transaction, changes: PrincipalChanges
) -> int:
    user = await locked_user(command.user_id, session, deleted=True)
    check_epoch(user, command.epoch)
    user.password_hash = command.password_hash
    if command.end_sessions:
        user.security_epoch += 1
        user.pending_email = None
    changes.touch(user.id)
    return user.security_epoch


def check_epoch(user: User, proven: int | None) -> None:
    """Refuse a password that was proven in another security epoch; None was never asked for one.

    Raises:
        Conflict: every session of the user was ended since.
    """
    if proven not in {None, user.security_epoch}:
        raise Conflict("The password was changed at the same moment: sign in, then retry.")
