"""The views of users, and the constraints of their names and passwords."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from unicodedata import normalize
from uuid import UUID

from pydantic import BeforeValidator, StringConstraints

from backstay.core.messages import View
from backstay.core.names import EmailAddress

Email = EmailAddress
Username = Annotated[
    str,
    StringConstraints(min_length=3, max_length=32, to_lower=True, pattern=r"^[a-zA-Z0-9_.\-]+$"),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_LONGEST_TYPED = 512
"""The most characters of a password before it is composed (NFC): 128 letters of up to four."""


def _composed(given: Any) -> Any:
    """Compose a text (NFC), unless it is too long in any form: the time grows with the square."""
    if isinstance(given, str) and len(given) <= _LONGEST_TYPED:
        return normalize("NFC", given)
    return given


Secret = Annotated[str, StringConstraints(max_length=_LONGEST_TYPED, strip_whitespace=False)]
Password = Annotated[
    str,
    StringConstraints(min_length=8, max_length=128, strip_whitespace=False),
    BeforeValidator(_composed),
]
"""A password by NIST SP 800-63B.

Its composed text (NFC) is checked for its length and against blocklists; no kinds of characters are
required.
"""


@dataclass(frozen=True, slots=True)
class Account:
    """What the application keeps about a signed-in person."""

    id: UUID
    email: str
    username: str | None
    name: str | None
    pending_email: str | None
    email_verified: bool
    is_active: bool
    security_epoch: int
    password_hash: str
    tier: str | None
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was hashed before the transaction began.

    ``epoch`` is the security epoch in which the old one was proven, where it had to be.
    """

    hashed: str
    epoch: int | None = None


class UserSummary(View):
    """A user in a list."""

    id: UUID
    email: str
    username: str | None
    name: str | None
    tier: str | None
    is_blocked: bool
    is_deleted: bool
    created_at: datetime


class UserDetail(UserSummary):
    """A user."""

    email_verified: bool
    updated_at: datetime
    version: int
    roles: tuple[str, ...]


class Profile(View):
    """The caller's own account; `impersonated_by` is the administrator who acts as its owner."""

    id: UUID
    email: str
    pending_email: str | None
    email_verified: bool
    username: str | None
    name: str | None
    tier: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    is_superuser: bool
    roles: tuple[str, ...]
    permissions: dict[str, str]
    impersonated_by: UUID | None = None


class Export(View):
    """Everything held about the caller; ``data`` by kind."""

    profile: Profile
    data: dict[str, tuple[Any, ...]]
