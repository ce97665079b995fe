"""Events about accounts, for features that the foundation does not know."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from backstay.core.events import Event


class UserRegistered(Event):
    """Somebody created an account. Its e-mail address is not confirmed."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID


class EmailChangeRequested(Event):
    """Somebody wants another e-mail address. ``email`` is the one that is still in force."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str


class EmailReplaced(Event):
    """An administrator gave somebody another e-mail address. It is not confirmed.

    ``former`` is the one that was in force, ``was_confirmed`` whether it was confirmed.
    """

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    former: str | None = None
    was_confirmed: bool = False


class PasswordSetter(StrEnum):
    """Who gave an account another password."""

    OWNER = "owner"
    MAILED_LINK = "mailed_link"
    ADMINISTRATOR = "administrator"


class PasswordReplaced(Event):
    """An account has another password, and every session but the one that asked for it is over."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    by: PasswordSetter
