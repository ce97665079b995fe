"""Steps for tests of user administration: every request that changes an account."""

from typing import Any

import httpx

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.testing import Person
from tests.features.granting import grant
from tests.features.steps import API, OTHER_PASSWORD

USERS = f"{API}/users"
PERMISSIONS = (
    "users:list",
    "users:read",
    "users:update",
    "users:block",
    "users:delete",
    "users:erase",
    "users:set_password",
    "sessions:list",
    "sessions:end",
)

WAYS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "rename": ("PATCH", "", {"name": "Renamed"}),
    "readdress": ("PATCH", "", {"email": "taken.over@example.org"}),
    "block": ("POST", "/block", None),
    "unblock": ("POST", "/unblock", None),
    "set password": ("PUT", "/password", {"new_password": OTHER_PASSWORD}),
    "sign out": ("DELETE", "/sessions", None),
    "list sessions": ("GET", "/sessions", None),
    "list devices": ("GET", "/devices", None),
    "delete": ("DELETE", "", None),
    "erase": ("DELETE", "?hard=true", None),
    "cascade": ("DELETE", "?hard=true&cascade=true", None),
    "restore": ("POST", "/restore", None),
}
"""Every request that changes an account, by name."""

TAKEOVERS = {"readdress", "set password"}


async def act(
    sender: Person | httpx.AsyncClient, way: str, user_id: str, **options: Any
) -> httpx.Response:
    """Send one of `WAYS` to an account."""
    client = sender.client if isinstance(sender, Person) else sender
    method, path, body = WAYS[way]
    return await client.request(method, f"{USERS}/{user_id}{path}", json=body, **options)


async def make_supporter(
    backstay: Backstay, person: Person, scope: Scope = Scope.ANY, *, level: int = 10
) -> Person:
    """Grant a user every permission on users and sessions."""
    await grant(backstay, person.id, PERMISSIONS[0], scope, *PERMISSIONS[1:], level=level)
    return person
