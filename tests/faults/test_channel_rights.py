"""Shows that a change by an administrator in one process holds in every other."""

from typing import Any

import httpx

from backstay.core.clock import new_id
from backstay.testing import ADMIN_EMAIL
from tests.faults.two_servers import (
    Server,
    TwoInProcessServers,
)
from tests.features.steps import API, ME, bearer, sign_in


class Admin:
    """The administrator, signed in at one server."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    @classmethod
    async def at(cls, site: Server) -> "Admin":
        answer = await sign_in(site.client, ADMIN_EMAIL)
        return cls(site.client, bearer(answer.json()["access_token"]))

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """Send a change that must succeed; the body of the answer."""
        path = f"{API}{path}"
        answer = await self.client.request(method, path, json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def permit(self, user_id: str) -> tuple[str, str, str]:
        """Let a user list users; the paths of the membership, the grant and its field rule."""
        role = (await self.send("POST", "/rbac/roles", {"name": str(new_id()), "level": 5}))["id"]
        (found,) = (await self.send("GET", "/rbac/permissions?key=users:list"))["items"]
        (email,) = (field["id"] for field in found["fields"] if field["name"] == "email")
        ids = {"role_id": role, "permission_id": found["id"]}
        await self.send("POST", "/rbac/permissions", {**ids, "scope": "ANY"})
        rule = {**ids, "field_id": email, "effect": "ALLOW"}
        await self.send("POST", "/rbac/permission-fields", rule)
        membership = f"/rbac/roles/{role}/users/{user_id}"
        await self.send("POST", membership)
        grant = f"/rbac/roles/{role}/permissions/{found['id']}"
        return membership, grant, f"{grant}/fields/{email}"


async def test_the_other_process_obeys_changes_by_an_administrator(
    two: TwoInProcessServers,
) -> None:
    """A field rule, a grant, a membership and an account in turn."""
    admin, (user_id, headers) = await Admin.at(two.one), await two.join()
    users, by_email = f"{API}/users", f"{API}/users?email=x"
    membership, grant, rule = await admin.permit(user_id)
    for each in (two.one, two.other):
        await each.answers(200, by_email, headers)
    for method, path, body, asked, before, after in (
        ("PATCH", rule, {"effect": "DENY"}, by_email, 200, 403),
        ("DELETE", rule, None, by_email, 403, 200),
        ("DELETE", membership, None, users, 200, 403),
        ("POST", membership, None, users, 403, 200),
        ("DELETE", grant, None, users, 200, 403),
        ("POST", f"/users/{user_id}/block", None, ME, 200, 401),
    ):
        assert await two.other.status(asked, headers) == before, path
        await admin.send(method, path, body)
        await two.other.answers(after, asked, headers)
