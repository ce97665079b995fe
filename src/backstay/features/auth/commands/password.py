"""The command that changes the caller's password and ends every other session."""

from backstay.core.bus import handles, prepares
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.messages import Command
from backstay.core.permissions import SIGNED_IN
from backstay.core.ports import Passwords
from backstay.core.principal import Principal
from backstay.db.session import Transaction
from backstay.features.auth.model import Session
from backstay.features.users.commands.credentials import StorePassword
from backstay.features.users.events import PasswordSetter
from backstay.features.users.queries.accounts import CheckOwnPassword
from backstay.features.users.queries.passwords import vet_and_hash
from backstay.features.users.schemas import NewPassword, Password, Secret


class ChangePassword(Command[None]):
    """Change your password. Every other session ends, this one stays."""

    permission = SIGNED_IN
    replayable = False
    in_person = True

    current_password: Secret
    new_password: Password


@prepares(ChangePassword)
async def hash_new_password(
    command: ChangePassword, send: Sender, passwords: Passwords
) -> NewPassword:
    account = await send(CheckOwnPassword(password=command.current_password))
    hashed = await vet_and_hash(
        command.new_password, account.email, passwords, send, field="new_password"
    )
    return NewPassword(hashed, account.security_epoch)


@handles(ChangePassword)
async def change_password(
    command: ChangePassword,
    session: Transaction,
    principal: Principal,
    new: NewPassword,
    send: Sender,
    changes: PrincipalChanges,
) -> None:
    epoch = await send.as_system()(
        StorePassword(
            user_id=principal.id,
            password_hash=new.hashed,
            new_by=PasswordSetter.OWNER,
            epoch=new.epoch,
        )
    )
    await session.update_where(Session, Session.id == principal.session_id, epoch=epoch)
    changes.touch(principal.id)
