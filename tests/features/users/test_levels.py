"""Shows that only a user of a higher level changes an account and its roles."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, select, update

from backstay.composition import Backstay
from backstay.core.clock import new_id, utc_now
from backstay.core.permissions import Scope
from backstay.features.access.model import Role, RoleMember
from backstay.features.auth.model import Session
from backstay.features.users.model import User
from backstay.testing import Login, Person
from tests.features.access.steps import ROLES
from tests.features.granting import grant
from tests.features.route_walker import places
from tests.features.steps import execute, needs
from tests.features.users.administering import PERMISSIONS, USERS, WAYS
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    needs("tiers"),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]

PAIRS = [(1, 2), (2, 2), (2, 1), (0, 0), (1, 0), (1_000_000, 1_000_000)]
"""The levels of the actor and of the target."""
MORE = (
    *(*PERMISSIONS[1:], "tiers:assign"),
    *("roles:assign", "roles:unassign", "users:impersonate"),
)
READING = {"list sessions", "list devices"}
CHANGES: dict[str, tuple[str, str, Any]] = {
    **{
        way: (method, f"{USERS}/{{user}}{path}", body) for way, (method, path, body) in WAYS.items()
    },
    "rename for sign-in": ("PATCH", f"{USERS}/{{user}}", {"username": "taken.over"}),
    "impersonate": ("POST", f"{USERS}/{{user}}/impersonate", None),
    "end session": ("DELETE", f"{USERS}/{{user}}/sessions/{{session}}", None),
    "assign tier": ("PUT", f"{USERS}/{{user}}/tier", {"tier": "free"}),
    "assign role": ("POST", f"{ROLES}/{{spare}}/users/{{user}}", None),
    "unassign role": ("DELETE", f"{ROLES}/{{worn}}/users/{{user}}", None),
}


class Scenario:
    """An actor with every permission on users, and the targets."""

    def __init__(self, backstay: Backstay, actor: Person) -> None:
        self._backstay = backstay
        self._actor = actor
        self._roles: dict[str, UUID] = {}

    async def settle(self) -> None:
        """Create the actor's role, a spare role to assign, and a role that every target has."""
        id_of, permissions = self._actor.id, (PERMISSIONS[0], Scope.ANY, *MORE)
        await grant(self._backstay, id_of, *permissions, role="acting")
        acting = select(Role.id).where(Role.name == "acting")
        self._roles["acting"] = (await execute(self._backstay, acting)).scalar_one()
        for name in ("spare", "worn"):
            self._roles[name] = await self._role(name, 0)

    async def rise(self, level: int) -> None:
        """Set the level of the actor."""
        role = Role.id == self._roles["acting"]
        await execute(self._backstay, update(Role).where(role).values(level=level))
        self._backstay.principals.forget_all()

    async def try_out(self, change: str, level: int) -> httpx.Response:
        """Try one change on a new user of this level; the answer."""
        user = new_id()
        row = {"email": f"{user}@example.org", "password_hash": "none", "security_epoch": 0}
        await execute(self._backstay, insert(User).values(id=user, **row, **_made()))
        for role in (await self._role(str(user), level), self._roles["worn"]):
            await execute(self._backstay, insert(RoleMember).values(role_id=role, user_id=user))
        method, path, body = CHANGES[change]
        path = path.format(user=user, session=await self._session(user), **self._roles)
        answer = await self._actor.client.request(method, path, json=body)
        await execute(self._backstay, delete(User).where(User.id == user))
        return answer

    async def _session(self, user: UUID) -> UUID:
        session, now, later = new_id(), utc_now(), utc_now() + timedelta(days=1)
        times = {"created_at": now, "last_used_at": now, "idle_expires_at": later}
        row = {"user_id": user, "epoch": 0, "token_hash": b"none", "expires_at": later, **times}
        await execute(self._backstay, insert(Session).values(id=session, **row))
        return session

    async def _role(self, name: str, level: int) -> UUID:
        row = {"name": name, "description": "", "level": level, "is_superuser": False}
        role = new_id()
        await execute(self._backstay, insert(Role).values(id=role, **row, **_made()))
        return role


def _made() -> dict[str, Any]:
    return {"created_at": utc_now(), "updated_at": utc_now(), "version": 1}


@pytest.fixture
async def scenario(backstay: Backstay, login: Login) -> Scenario:
    scenario = Scenario(backstay, await login())
    await scenario.settle()
    return scenario


@pytest.mark.parametrize(("actor", "other"), PAIRS)
async def test_only_a_user_of_higher_level_changes_another(
    scenario: Scenario, actor: int, other: int
) -> None:
    await scenario.rise(actor)
    for change in CHANGES:
        answer = await scenario.try_out(change, other)
        allowed = actor >= other if change in READING else actor > other
        if allowed:
            assert answer.is_success, (change, answer.text)
        else:
            assert answer.status_code == 403, (change, answer.text)
            problem(answer, 403, "forbidden")


async def test_the_test_covers_every_command_on_other_users(app: FastAPI) -> None:
    aimed = {
        (place.method, place.template.replace("{user_id}", "{id}"))
        for place in places(app)
        if place.method != "GET" and re.search(r"/users/{(user_)?id}", place.template)
    }
    named = {"user": "{id}", "session": "{session_id}", "spare": "{role_id}", "worn": "{role_id}"}
    tried = {(m, path.partition("?")[0].format(**named)) for m, path, _ in CHANGES.values()}
    assert aimed <= tried
