"""The command with which a signed-in user proves once more who they are."""

from backstay.core.bus import handles, prepares
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.messages import Command
from backstay.core.permissions import SIGNED_IN
from backstay.core.ports import Clock
from backstay.core.principal import Principal
from backstay.db.session import Transaction
from backstay.features.auth.commands.sessions import SessionOver
from backstay.features.auth.model import Session
from backstay.features.users.queries.accounts import CheckOwnPassword
from backstay.features.users.schemas import Account, Secret


class Reauthenticate(Command[None]):
    """Prove once more who you are, for what asks for a fresh proof (`fresh_proof_required`)."""

    permission = SIGNED_IN
    allowed_in_maintenance = True
    replayable = False
    in_person = True

    password: Secret


@prepares(Reauthenticate)
async def prove(command: Reauthenticate, send: Sender) -> Account:
    return await send(CheckOwnPassword(password=command.password))


@handles(Reauthenticate)
async def reauthenticate(
    command: Reauthenticate,
    session: Transaction,
    principal: Principal,
    clock: Clock,
    changes: PrincipalChanges,
) -> None:
    own = Session.id == principal.session_id, Session.ended_at.is_(None)
    if not await session.update_where(Session, *own, proven_at=clock()):
        raise SessionOver
    changes.touch(principal.id)
