"""Events about sessions, for features that the foundation does not know."""

from typing import ClassVar
from uuid import UUID

from backstay.core.events import Event


class NewDeviceSignedIn(Event):
    """A user signed in from a device that the account does not know."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    device: str
    address: str


class RefreshTokenCopied(Event):
    """A client used a copy of a session's refresh token.

    ``ended`` says whether the session was ended because of it.
    """

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    device: str
    address: str
    ended: bool
