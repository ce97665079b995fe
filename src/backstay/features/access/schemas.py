"""What the feature answers and is told."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from backstay.core.messages import Scope, Source
from backstay.core.principal import Grant


class DeclaredField(BaseModel):
    """A field of a message that a permission guards."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: Source
    type: str


class DeclaredPermission(BaseModel):
    """A permission as the code declares it, with the fields of the messages it guards."""

    model_config = ConfigDict(frozen=True)

    resource: str
    action: str
    operation: str | None
    description: str
    everyone: Scope | None
    key: str
    fields: tuple[DeclaredField, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """What a user's roles add up to."""

    roles: tuple[str, ...]
    level: int
    is_superuser: bool
    grants: dict[str, Grant]


NO_ROLES = Membership(roles=(), level=0, is_superuser=False, grants={})
