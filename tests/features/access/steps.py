"""Steps for scenarios about roles: create them, grant, and assign, through the API."""

from collections.abc import Sequence
from typing import Any

import httpx

from backstay.testing import Person
from tests.features.steps import API

RBAC = f"{API}/rbac"
ROLES = f"{RBAC}/roles"

Rule = tuple[str, str, str]
"""Source, name and effect."""


async def done(request: Any, status: int = 201) -> Any:
    """Assert that a request succeeds; the body of the answer."""
    answer: httpx.Response = await request
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def permissions_by_key(person: Person) -> dict[str, Any]:
    """Every permission, as the list shows it."""
    page = await done(person.client.get(f"{RBAC}/permissions?per_page=1000"), 200)
    return {each["key"]: each for each in page["items"]}


def role_path(role: Any) -> str:
    return f"{ROLES}/{role['id']}"


class RoleKeeper:
    """A superuser who creates, grants and assigns roles for a scenario."""

    def __init__(self, admin: Person, permissions: dict[str, Any]) -> None:
        self.admin = admin
        self.client = admin.client
        self.permissions = permissions
        self._made = 0

    def id_of(self, permission: str) -> str:
        found: str = self.permissions[permission]["id"]
        return found

    def field_id(self, permission: str, source: str, name: str) -> str:
        (found,) = (
            field["id"]
            for field in self.permissions[permission]["fields"]
            if (field["source"], field["name"]) == (source, name)
        )
        return str(found)

    async def role(self, *permissions: str, level: int = 10, **fields: Any) -> Any:
        """A new role with these permissions at ``ANY``."""
        self._made += 1
        body = {"name": f"role {self._made}", "level": level, **fields}
        role = await done(self.client.post(ROLES, json=body))
        for permission in permissions:
            await self.grant(role, permission)
        return role

    async def grant(
        self, role: Any, permission: str, scope: str = "ANY", rules: Sequence[Rule] = ()
    ) -> None:
        where = {"role_id": role["id"], "permission_id": self.id_of(permission)}
        await done(self.client.post(f"{RBAC}/permissions", json={**where, "scope": scope}))
        for source, name, effect in rules:
            body = {**where, "field_id": self.field_id(permission, source, name), "effect": effect}
            await done(self.client.post(f"{RBAC}/permission-fields", json=body))

    async def assign(self, role: Any, person: Person) -> None:
        await done(self.client.post(f"{role_path(role)}/users/{person.id}"))

    def path_of(self, role: Any, permission: str, field: tuple[str, str] | None = None) -> str:
        """The path of a grant, or of one of its field rules."""
        path = f"{role_path(role)}/permissions/{self.id_of(permission)}"
        return path if field is None else f"{path}/fields/{self.field_id(permission, *field)}"
