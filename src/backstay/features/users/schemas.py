"""What a person looks like from outside, and what they may be called."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, EmailStr, Field, StringConstraints
from pydantic_core import PydanticCustomError

from backstay.core.errors import FieldFault, Invalid
from backstay.core.messages import View
from backstay.features.tiers.schemas import RuleInForce


def _lower(value: str) -> str:
    return value.lower()


Email = Annotated[EmailStr, AfterValidator(_lower), Field(max_length=254)]
Username = Annotated[
    str,
    StringConstraints(min_length=3, max_length=32, to_lower=True, pattern=r"^[a-zA-Z0-9_.\-]+$"),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Secret = Annotated[str, StringConstraints(max_length=128, strip_whitespace=False)]
Password = Annotated[str, StringConstraints(min_length=8, max_length=128, strip_whitespace=False)]
"""NIST SP 800-63B: length and a blocklist, no composition rules, never altered."""


def check_password(password: str, email: str | None) -> str:
    """Refuse a password that is on the list of common ones or contains the e-mail's name.

    Raises:
        PydanticCustomError: with a code and a sentence.
    """
    lowered = password.lower()
    if lowered in _common_passwords() or len(set(password)) == 1:
        raise PydanticCustomError("common_password", "This password is too common")
    local = (email or "").partition("@")[0].lower()
    if len(local) >= 4 and local in lowered:
        raise PydanticCustomError("personal_password", "The password contains the e-mail's name")
    return password


def vet_password(password: str, email: str, field: str) -> None:
    """:func:`check_password` outside a message.

    Raises:
        Invalid: naming ``field``.
    """
    try:
        check_password(password, email)
    except PydanticCustomError as error:
        raise Invalid(errors=(FieldFault(field, error.type, error.message()),)) from error


@cache
def _common_passwords() -> frozenset[str]:
    from zxcvbn.frequency_lists import (  # type: ignore[import-untyped]  # noqa: PLC0415
        FREQUENCY_LISTS,
    )

    return frozenset(p for p in FREQUENCY_LISTS["passwords"] if len(p) >= 8)


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
    """The caller's own account."""

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


class UserTier(View):
    """The tier of a user."""

    tier: str | None


class RateLimitsInForce(View):
    """How often a user may ask, by path; empty when nothing is limited."""

    tier: str | None
    items: tuple[RuleInForce, ...]


class Export(View):
    """Everything held about the caller; ``data`` by kind."""

    profile: Profile
    data: dict[str, tuple[Any, ...]]
