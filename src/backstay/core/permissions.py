"""The policies of messages: what a sender needs, a permission or only to be signed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import final

from backstay.core.wiring import Place


class Scope(StrEnum):
    """How far a grant reaches: rows the principal owns, or any row."""

    OWN = "OWN"
    ANY = "ANY"


class Source(StrEnum):
    """Where a field of a message comes from in an HTTP request."""

    PATH = "PATH"
    QUERY = "QUERY"
    JSON = "JSON"


@final
@dataclass(frozen=True, slots=True)
class PermissionSpec:
    """A permission, declared in code; roles get it by a grant in the database.

    ``default_scope`` is the scope with which the seeded role ``user`` gets the permission when it
    first appears; None if that role does not get it. ``key`` is its name in grants and responses:
    ``resource:action[:operation]``.
    """

    resource: str
    action: str
    operation: str | None = None
    description: str = ""
    default_scope: Scope | None = None
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.resource, self.action, self.operation)
        object.__setattr__(self, "key", ":".join(filter(None, parts)))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSpec:
    """A role that a project declares in code; it is created when the database is seeded.

    A grant is given when the role or the permission first appears. What an administrator changes
    later stays, and a deleted role stays deleted.

    Attributes:
        level: above 0, the level of the role ``user``, and below 1000, that of ``admin``.
        grants: how far the role holds which permissions.
    """

    name: str
    level: int
    description: str = ""
    grants: Mapping[PermissionSpec, Scope] = field(default_factory=dict)
    place: Place = field(default_factory=Place.of_caller, compare=False, repr=False)


class _Access(StrEnum):
    """Policies that need no grant."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    SYSTEM = "system"


PUBLIC = _Access.PUBLIC
"""The policy of messages that everybody may send, signed in or not."""
SIGNED_IN = _Access.SIGNED_IN
"""The policy of messages that every signed-in user may send."""
SYSTEM_ONLY = _Access.SYSTEM
"""The policy of messages that only the application itself sends."""

Policy = PermissionSpec | _Access
