"""The command with which an administrator acts as somebody else."""

from datetime import timedelta
from uuid import UUID

from backstay.core.bus import handles
from backstay.core.clock import minutes, new_id
from backstay.core.context import Origin, Sender
from backstay.core.errors import Conflict, Forbidden, NotFound
from backstay.core.messages import Command, FromPath
from backstay.core.ports import AccessTokens, Clock, RefreshTokens
from backstay.core.principal import Principal
from backstay.db.session import Transaction
from backstay.features.auth.model import Session
from backstay.features.auth.schemas import TokenAnswer
from backstay.features.users.queries.accounts import GetAccount
from backstay.features.users.queries.impersonation import IMPERSONATE, CheckImpersonation
from backstay.settings import SecuritySettings

MOST_SECONDS = 3600
"""How long an impersonation lasts at most."""


class Impersonate(Command[TokenAnswer]):
    """Act as somebody else, to see what they see: never as a superuser.

    The session lasts as long as an access token, an hour at most, and no longer than your own: it
    has no refresh token. The audit trail names you, and the owner sees it in the list of sessions.
    What is about the password, the e-mail address, sessions and rights stays refused.
    """

    permission = IMPERSONATE
    fresh = minutes(5)
    replayable = False

    id: FromPath[UUID]


@handles(Impersonate)
async def impersonate(
    command: Impersonate,
    session: Transaction,
    principal: Principal,
    clock: Clock,
    origin: Origin,
    refresh: RefreshTokens,
    access: AccessTokens,
    security: SecuritySettings,
    send: Sender,
) -> TokenAnswer:
    await send(CheckImpersonation(user_id=command.id))
    if principal.session_id is None:
        raise Forbidden("Sign in to impersonate somebody.")
    account = await send.as_system()(GetAccount(user_id=command.id))
    if account is None:
        raise NotFound
    if not account.is_active:
        raise Conflict("This account is blocked.")
    now, session_id = clock(), new_id()
    seconds = min(security.access_token_expire_seconds, MOST_SECONDS)
    ends = now + timedelta(seconds=seconds)
    await session.insert_one(
        Session(
            id=session_id,
            user_id=account.id,
            epoch=account.security_epoch,
            token_hash=refresh.hash(refresh.first(session_id)),  # of a token that nobody gets
            user_agent=origin.user_agent,
            address=origin.address,
            created_at=now,
            last_used_at=now,
            idle_expires_at=ends,
            expires_at=ends,
            actor_id=principal.id,
            actor_session_id=principal.session_id,
        )
    )
    token = access.issue(account.id, session_id)
    return TokenAnswer(access_token=token, expires_in=seconds, session_id=session_id)
