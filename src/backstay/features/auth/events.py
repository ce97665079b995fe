"""Events about sessions, for features that the foundation does not know."""

from typing import ClassVar
from uuid import UUID

from backstay.core.events import Event


class NewDeviceSignedIn(Event):
    """Somebody signed in from a device that this account was not signed in from before."""

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    device: str
    address: str


class RefreshTokenCopied(Event):
    """Another client than the one that refreshes a session used a copy of its token.

    ``ended`` tells whether the session was ended for it.
    """

    aggregate: ClassVar[str] = "user_id"

    user_id: UUID
    email: str
    is_confirmed: bool = False
    device: str
    address: str
    ended: bool
