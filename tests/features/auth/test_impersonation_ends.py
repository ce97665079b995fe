"""Shows when an impersonation ends: at once, for whatever reason."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from backstay.composition import Backstay
from backstay.features.access.commands.grants import RevokePermission
from backstay.features.access.commands.members import UnassignRole
from backstay.features.access.commands.roles import UpdateRole
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.access.model import Permission, Role
from backstay.features.auth.model import Session
from backstay.features.users.commands.administration import BlockUser
from backstay.settings import Settings
from backstay.testing import PASSWORD, FrozenClock, Person
from backstay.testing.waiting import eventually
from tests.features.auth.impersonating import Scene
from tests.features.granting import grant
from tests.features.steps import (
    AUTH,
    ME,
    OTHER_PASSWORD,
    bearer,
    execute,
    running,
)

pytestmark = pytest.mark.anyio


End = Callable[[Backstay, Scene], Awaitable[Any]]


async def role_of(backstay: Backstay, name: str) -> UUID:
    found: UUID = (await execute(backstay, select(Role.id).where(Role.name == name))).scalar_one()
    return found


async def lose_permission(backstay: Backstay, scene: Scene) -> None:
    key = select(Permission.id).where(Permission.key == "users:impersonate")
    permission = (await execute(backstay, key)).scalar_one()
    role = await role_of(backstay, "support")
    await backstay.system(RevokePermission(role_id=role, permission_id=permission))


async def lose_role(backstay: Backstay, scene: Scene) -> None:
    role = await role_of(backstay, "support")
    await backstay.system(UnassignRole(role_id=role, user_id=UUID(scene.support.id)))


async def fall(backstay: Backstay, scene: Scene) -> None:
    await backstay.system(UpdateRole(role_id=await role_of(backstay, "support"), level=0))


async def gain(backstay: Backstay, scene: Scene) -> None:
    await grant(backstay, scene.owner.id, "users:list", level=1)


async def rise(backstay: Backstay, scene: Scene) -> None:
    await backstay.system(JoinRole(user_id=UUID(scene.owner.id), role="admin"))


def sending(who: str, method: str, path: str, body: Any = None) -> End:
    async def send(backstay: Backstay, scene: Scene) -> None:
        person: Person = getattr(scene, who)
        url = path.format(guest=scene.guest.tokens["session_id"])
        answer = await person.client.request(method, url, json=body)
        assert answer.status_code == 204, answer.text

    return send


CHANGE = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
ENDS: dict[str, End] = {
    "support is blocked": lambda b, s: _block(b, s.support),
    "the owner is blocked": lambda b, s: _block(b, s.owner),
    "support loses the permission": lose_permission,
    "support loses the role": lose_role,
    "support falls to the owner's level": fall,
    "the owner gains what support lacks": gain,
    "the owner becomes a superuser": rise,
    "support signs out": sending("support", "POST", f"{AUTH}/logout"),
    "support signs out everywhere": sending("support", "DELETE", f"{AUTH}/sessions?all=true"),
    "the owner ends it": sending("owner", "DELETE", f"{AUTH}/sessions/{{guest}}"),
    "the owner ends all others": sending("owner", "DELETE", f"{AUTH}/sessions"),
    "the owner sets a password": sending("owner", "POST", f"{AUTH}/password/change", CHANGE),
    "the guest signs out": sending("guest", "POST", f"{AUTH}/logout"),
}


async def _block(backstay: Backstay, person: Person) -> None:
    await backstay.system(BlockUser(id=UUID(person.id)))


@pytest.mark.parametrize("end", ENDS)
async def test_it_ends_at_once(scene: Scene, backstay: Backstay, end: str) -> None:
    assert not await scene.is_over()
    await ENDS[end](backstay, scene)
    assert await scene.is_over()


async def test_it_ends_in_other_processes(
    scene: Scene, backstay: Backstay, settings: Settings, clock: FrozenClock
) -> None:
    headers = bearer(scene.guest.tokens["access_token"])
    async with running(settings, clock) as there:
        assert (await there.get(ME, headers=headers)).status_code == 200
        await _block(backstay, scene.support)

        async def is_over() -> bool:
            return (await there.get(ME, headers=headers)).status_code == 401

        await eventually(is_over)


async def test_the_owner_and_support_stay_signed_in(scene: Scene) -> None:
    await scene.guest.client.post(f"{AUTH}/logout")
    for person in (scene.owner, scene.support):
        assert (await person.client.get(ME)).status_code == 200


class TestWithLongTokens:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SECURITY_ACCESS_TOKEN_EXPIRE_SECONDS": "7200"}

    async def test_it_lasts_an_hour_at_most(self, scene: Scene, clock: FrozenClock) -> None:
        assert scene.guest.tokens["expires_in"] == 3600
        clock.forward(seconds=3599)
        assert not await scene.is_over()
        clock.forward(seconds=1)
        assert await scene.is_over()

    async def test_it_lasts_no_longer_than_supports_own_session(
        self, scene: Scene, backstay: Backstay, clock: FrozenClock
    ) -> None:
        own = Session.id == UUID(scene.support.tokens["session_id"])
        soon = clock.now + timedelta(seconds=60)
        await execute(backstay, update(Session).where(own).values(idle_expires_at=soon))
        backstay.principals.forget_all()
        assert not await scene.is_over()
        clock.forward(seconds=60)
        assert await scene.is_over()
