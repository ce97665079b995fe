"""Checks whether a password may be chosen, and hashes it for the commands that store it."""

import re
from functools import cache, lru_cache

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import FieldError, Invalid
from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.ports import BreachedPasswords, Passwords
from backstay.features.users.schemas import Secret
from backstay.settings import AppSettings

_SEASONS = ("spring", "summer", "autumn", "fall", "winter")
_ALIKE = {"a": "a4@", "e": "e3", "i": "i1!", "l": "l1", "o": "o0", "s": "s5$", "t": "t7"}


class VetPassword(Query[None]):
    """Refuse a password that is easily guessed or was published after a break-in.

    ``email`` is its owner's address; the refusal names ``field``.
    """

    permission = SYSTEM_ONLY

    password: Secret
    email: str
    field: str


@handles(VetPassword)
async def vet_password(query: VetPassword, app: AppSettings, breached: BreachedPasswords) -> None:
    weakness = _weakness(query.password, query.email, app.name)
    if weakness is None and await breached.contains(query.password):
        weakness = "breached_password", "This password was published after a break-in somewhere"
    if weakness is not None:
        raise Invalid(errors=(FieldError(query.field, *weakness),))


async def vet_and_hash(
    password: str, email: str, passwords: Passwords, send: Sender, *, field: str = "password"
) -> str:
    """The hash of a password that somebody chose for the account with this address.

    Raises:
        Invalid: the password may not be chosen; the error names ``field``.
    """
    await send.as_system()(VetPassword(password=password, email=email, field=field))
    return await passwords.hash(password)


def _weakness(password: str, email: str, application: str) -> tuple[str, str] | None:
    """Why a password is easy to guess, as a code and a sentence; None if it is not."""
    lowered = password.lower()
    if lowered in _common_passwords() or len(set(password)) == 1:
        return "common_password", "This password is too common"
    local = email.partition("@")[0].lower()
    if len(local) >= 4 and local in lowered:
        return "personal_password", "The password contains the e-mail's name"
    if _is_of_context(lowered, application):
        return (
            "context_password",
            "The password is little more than this application's name or a season and a year",
        )
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
