"""The command to sign in with a password."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from backstay.core.bus import handles, prepares
from backstay.core.clock import new_id
from backstay.core.context import ActivityNote, Origin, Sender
from backstay.core.errors import Forbidden
from backstay.core.messages import Command
from backstay.core.permissions import PUBLIC
from backstay.core.ports import AccessTokens, Clock, Passwords, RefreshToken, RefreshTokens
from backstay.db.session import Transaction
from backstay.features.auth.commands.devices import note_device
from backstay.features.auth.commands.sessions import client_hash
from backstay.features.auth.model import Session
from backstay.features.auth.queries.devices import ListKnownDevices
from backstay.features.auth.queries.principals import CheckCredentials
from backstay.features.auth.schemas import (
    Fingerprint,
    KnownDevice,
    TokenAnswer,
    TokenText,
    Transport,
)
from backstay.features.users.commands.credentials import StorePassword
from backstay.features.users.schemas import Account, Secret
from backstay.jobs.outbox import Events
from backstay.settings import SecuritySettings


class _EmailUnverified(Forbidden):
    code, title = "auth.email_unverified", "Verify your e-mail address first"


class Login(Command[TokenAnswer]):
    """Sign in with a password; name the account by e-mail, username, or either as login."""

    permission = PUBLIC
    allowed_in_maintenance = True

    email: TokenText | None = None
    username: TokenText | None = None
    login: TokenText | None = None
    password: Secret
    fingerprint: Fingerprint | None = None
    transport: Transport = "cookie"

    @property
    def account(self) -> str:
        """The e-mail address or username that was sent."""
        return self.login or self.email or self.username or ""

    @model_validator(mode="after")
    def _one_name(self) -> "Login":
        if sum(name is not None for name in (self.email, self.username, self.login)) != 1:
            raise PydanticCustomError("login", "Name exactly one of email, username and login")
        return self


@dataclass(frozen=True, slots=True)
class _Verified:
    """An account whose password was right, with a new hash if the stored one is outdated."""

    account: Account
    rehashed: str | None
    devices: tuple[KnownDevice, ...]


@prepares(Login)
async def verify_login(
    command: Login, send: Sender, passwords: Passwords, security: SecuritySettings
) -> _Verified:
    system = send.as_system()
    account = await system(CheckCredentials(login=command.account, password=command.password))
    if security.require_verified_email and not account.email_verified:
        raise _EmailUnverified
    outdated = passwords.is_outdated(account.password_hash)
    rehashed = await passwords.hash(command.password) if outdated else None
    return _Verified(account, rehashed, await system(ListKnownDevices(user_id=account.id)))


@handles(Login)
async def login(
    command: Login,
    session: Transaction,
    verified: _Verified,
    clock: Clock,
    origin: Origin,
    refresh: RefreshTokens,
    access: AccessTokens,
    security: SecuritySettings,
    send: Sender,
    note: ActivityNote,
    events: Events,
) -> TokenAnswer:
    account, now, session_id = verified.account, clock(), new_id()
    token = refresh.first(session_id)
    idle = now + timedelta(seconds=security.refresh_token_expire_seconds)
    ends = now + timedelta(seconds=security.session_lifetime_seconds)
    row = Session(
        id=session_id,
        user_id=account.id,
        epoch=account.security_epoch,
        token_hash=refresh.hash(token),
        user_agent=origin.user_agent,
        address=origin.address,
        created_at=now,
        last_used_at=now,
        idle_expires_at=min(idle, ends),
        expires_at=ends,
        proven_at=now,
    )
    if command.fingerprint is not None:
        row.fingerprint_hash = refresh.keyed_hash("fingerprint", session_id, command.fingerprint)
    row.client_hash = client_hash(session_id, command.fingerprint, refresh, origin)
    if verified.rehashed is not None:
        await send.as_system()(
            StorePassword(
                user_id=account.id,
                password_hash=verified.rehashed,
                epoch=account.security_epoch,
            )
        )
    await session.insert_one(row)
    await note_device(account, verified.devices, session, refresh, events, origin, now)
    note.about(account.id, session_id)
    return answer_with(account.id, token, row.idle_expires_at - now, refresh, access, security)


def answer_with(
    user_id: UUID,
    token: RefreshToken,
    left: timedelta,
    refresh: RefreshTokens,
    access: AccessTokens,
    security: SecuritySettings,
) -> TokenAnswer:
    """The tokens of a session as the client gets them; the refresh token is valid for ``left``."""
    return TokenAnswer(
        access_token=access.issue(user_id, token.session_id),
        expires_in=security.access_token_expire_seconds,
        session_id=token.session_id,
        refresh_token=refresh.write(token),
        refresh_expires_in=int(left.total_seconds()),
    )
