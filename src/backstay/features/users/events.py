"""Events about accounts, for features that the foundation does not know."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from backstay.core.events import Event


class UserRegistered(Event):
    """A user created an account. Its e-mail address is not confirmed."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID


class EmailChangeRequested(Event):
    """A user asked for another e-mail address. ``email`` is the current one."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str


class EmailReplaced(Event):
    """An administrator changed the e-mail address of a user. The new one is not confirmed.

    ``former`` is the previous address, ``was_confirmed`` whether that was confirmed.
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
    """An account has a new password, and all its sessions have ended except the one that set it."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    by: PasswordSetter
