"""The responses and bodies of authentication."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)
from pydantic.json_schema import SkipJsonSchema

from backstay.core.messages import View
from backstay.features.users.schemas import Secret

T = TypeVar("T")

Transport = Literal["cookie", "body"]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
MOST_TOKENS = 5
"""The most refresh tokens that are tried per request: browsers send the cookies of every path."""
Unsaid = Annotated[T | SkipJsonSchema[None], Field(exclude_if=lambda value: value is None)]
"""A field that is left out, not null, if it has no value."""
Fingerprint = Annotated[
    str, StringConstraints(min_length=1, max_length=512, strip_whitespace=False)
]


STEP = timedelta(minutes=5)


def _stepped(moment: datetime, info: ValidationInfo) -> datetime:
    begun: datetime = info.data["created_at"]
    return moment - (moment - begun) % STEP


InSteps = Annotated[datetime, AfterValidator(_stepped)]
"""A time, rounded down to steps of ``STEP`` from ``created_at`` on.

So it does not show when the next refresh is due.
"""


class EndReason(StrEnum):
    """Why a session is over."""

    LOGOUT = "logout"
    ENDED = "ended"
    REUSE = "reuse"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that has neither ended nor expired, as the database knows it."""

    id: UUID
    user_id: UUID
    epoch: int
    generation: int
    token_hash: bytes
    rotations: list[float]
    fingerprint_hash: bytes | None
    client_hash: bytes | None
    former_client_hash: bytes | None
    shared_at: datetime | None
    expires_at: datetime


MOST_DEVICES = 100
"""The most known devices of one account; a new one replaces the oldest."""


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device from which an account signed in before."""

    id: UUID
    device_hash: bytes
    last_seen_at: datetime


class TokenAnswer(View):
    """The answer to a sign-in or refresh (RFC 6749, 5.1).

    The refresh token is absent when it travels in a cookie. Times are seconds.
    """

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
    session_id: UUID
    refresh_token: Unsaid[str] = None
    refresh_expires_in: Unsaid[int] = None


class LoginForm(BaseModel):
    """The password form of OAuth2 (RFC 6749, 4.3).

    ``username`` may be an e-mail address; the scope and the client are ignored.
    """

    model_config = ConfigDict(extra="forbid")

    grant_type: Literal["password"] = "password"
    username: TokenText
    password: Secret
    fingerprint: Unsaid[Fingerprint] = None
    transport: Transport = "body"
    scope: Unsaid[str] = None
    client_id: Unsaid[str] = None
    client_secret: Unsaid[str] = None


class RefreshBody(BaseModel):
    """What a client may send to refresh or end its session; all of it may be absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refresh_token: str | None = Field(default=None, min_length=1)
    fingerprint: Fingerprint | None = None


class RefreshForm(RefreshBody):
    """The refresh form of OAuth2 (RFC 6749, 6): what a cookie or a header holds is not used.

    The scope and the client are ignored.
    """

    grant_type: Literal["refresh_token"]
    refresh_token: str = Field(min_length=1)  # pyright: ignore[reportIncompatibleVariableOverride]
    scope: Unsaid[str] = None
    client_id: Unsaid[str] = None
    client_secret: Unsaid[str] = None


class SessionView(View):
    """A device that is signed in. ``shared_at`` is when another client used a copy of its token.

    ``impersonated_by`` is the administrator who acts as the user; null for the user's own sessions.
    """

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: InSteps
    expires_at: datetime
    shared_at: datetime | None
    current: bool
    impersonated_by: UUID | None


class SessionList(View):
    """The devices that are signed in."""

    items: tuple[SessionView, ...]


class SessionOfUser(View):
    """A session in the list of everybody's."""

    id: UUID
    user_id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: InSteps
    expires_at: datetime
    shared_at: datetime | None
    impersonated_by: UUID | None


class SessionExport(View):
    """A session in the export of a person's data; also one that is over."""

    id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: InSteps
    expires_at: datetime
    shared_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    impersonated_by: UUID | None


class DeviceView(View):
    """A device from which a user signed in."""

    id: UUID
    first_seen_at: datetime
    last_seen_at: datetime


class DeviceList(View):
    """The devices from which a user signed in."""

    items: tuple[DeviceView, ...]


class DeviceExport(View):
    """A device in the export of a person's data, without the hash that identifies it."""

    first_seen_at: datetime
    last_seen_at: datetime


class KeySet(View):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]]
