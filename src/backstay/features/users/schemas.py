"""The views of users, and the constraints of their names and passwords."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Annotated, Any
from unicodedata import normalize
from uuid import UUID

from pydantic import BeforeValidator, StringConstraints

from backstay.core.errors import FieldError, Invalid
from backstay.core.messages import View
from backstay.core.names import EmailAddress
from backstay.features.tiers.schemas import RuleInForce

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


_SEASONS = ("spring", "summer", "autumn", "fall", "winter")
_ALIKE = {"a": "a4@", "e": "e3", "i": "i1!", "l": "l1", "o": "o0", "s": "s5$", "t": "t7"}


def vet_password(password: str, email: str, application: str, field: str) -> None:
    """Refuse a password that is common, holds the e-mail's local part, or is easily guessed here.

    ``application`` is the name of the application as users know it.

    Raises:
        Invalid: the password is refused; the error names ``field``.
    """
    if told := _weakness(password, email, application):
        raise Invalid(errors=(FieldError(field, *told),))


def _weakness(password: str, email: str, application: str) -> tuple[str, str] | None:
    """Why a password is easy to guess, as a code and a sentence; None if it is not."""
    lowered = password.lower()
    if lowered in _common_passwords() or len(set(password)) == 1:
        return "common_password", "This password is too common"
    local = email.partition("@")[0].lower()
    if len(local) >= 4 and local in lowered:
        return "personal_password", "The password contains the e-mail's name"
    if _is_of_context(lowered, application):
        told = "The password is little more than this application's name or a season and a year"
        return "context_password", told
    return None


def _is_of_context(lowered: str, application: str) -> bool:
    """Whether the password without the words of its context is too short or too common."""
    letters = "".join(letter for letter in lowered if letter.isalnum() or letter in "@$!")
    left, found = _context(application).subn("", letters)
    left = "".join(filter(str.isalnum, left))
    return found > 0 and (len(left) < 8 or left in _common_passwords())


@lru_cache(16)
def _context(application: str) -> re.Pattern[str]:
    """A pattern of the names of Backstay and the application, and of seasons with a year.

    It also matches spellings like S3a$on2026.
    """
    seasons = "|".join(map(_loosely, _SEASONS))
    name = "".join(filter(str.isalnum, application.lower()))
    names = [_loosely(each) for each in ("backstay", name) if len(each) >= 4]
    year = r"(?:(?:19|20)?\d\d)"
    return re.compile("|".join((*names, f"(?:{seasons}){year}", f"{year}(?:{seasons})")))


def _loosely(word: str) -> str:
    return "".join(f"[{_ALIKE.get(letter, letter)}]" for letter in word)


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
