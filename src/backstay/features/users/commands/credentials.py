"""Stores passwords and confirmed addresses, for commands that have checked the caller."""

from uuid import UUID

from backstay.core.bus import handles
from backstay.core.context import PrincipalChanges
from backstay.core.errors import Conflict
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import Clock
from backstay.db.session import Transaction
from backstay.features.users.commands.people import locked_user
from backstay.features.users.events import PasswordReplaced, PasswordSetter
from backstay.features.users.model import User
from backstay.features.users.schemas import Email
from backstay.jobs.outbox import Events


class StorePassword(Command[int]):
    """Store the hash of a password; the result is the user's security epoch.

    ``new_by`` is who set another password. Then the epoch increases, which ends every session of
    the user, and a pending change of the e-mail address is cancelled: an intruder may have asked
    for it. Without ``new_by`` it is the same password, hashed with other parameters. ``epoch`` is
    the one in which the old password was proven; another one now means that a concurrent command
    was first, and this one is refused.
    """

    permission = SYSTEM_ONLY

    user_id: UUID
    password_hash: str
    new_by: PasswordSetter | None = None
    epoch: int | None = None


@handles(StorePassword)
async def store_password(
    command: StorePassword, session: Transaction, changes: PrincipalChanges, events: Events
) -> int:
    user = await locked_user(command.user_id, session, deleted=True)
    check_epoch(user, command.epoch)
    user.password_hash = command.password_hash
    if command.new_by is not None:
        user.security_epoch += 1
        user.pending_email = None
        await events.publish(
            PasswordReplaced(
                user_id=user.id,
                email=user.email,
                is_confirmed=user.email_verified_at is not None,
                by=command.new_by,
            )
        )
    changes.touch(user.id)
    return user.security_epoch


class ConfirmEmail(Command[None]):
    """Store that an e-mail address is confirmed. A pending address then replaces the old one."""

    permission = SYSTEM_ONLY

    user_id: UUID
    email: Email


@handles(ConfirmEmail)
async def confirm_email(
    command: ConfirmEmail, session: Transaction, clock: Clock, changes: PrincipalChanges
) -> None:
    user = await locked_user(command.user_id, session)
    if command.email == user.pending_email:
        user.email, user.pending_email = command.email, None
        user.email_verified_at = clock()
    elif command.email != user.email:
        raise Conflict("The address was changed at the same moment.")
    user.email_verified_at = user.email_verified_at or clock()
    changes.touch(user.id)


def check_epoch(user: User, proven: int | None) -> None:
    """Refuse a proof of the password from another security epoch; None means no proof was needed.

    Raises:
        Conflict: the epoch has changed since, which ended every session of the user.
    """
    if proven not in {None, user.security_epoch}:
        raise Conflict("The password was changed at the same moment: sign in, then retry.")
