"""What has happened to people's accounts, for features that the foundation does not know."""

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
    """An administrator gave somebody another e-mail address. It is not confirmed."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
