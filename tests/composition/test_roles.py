"""Tests the roles that a project declares in code."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from backstay.application import Application
from backstay.composition import Backstay, sync_access
from backstay.core.bus import handles
from backstay.core.clock import utc_now
from backstay.core.errors import Conflict
from backstay.core.messages import Command, FromPath, View
from backstay.core.permissions import PermissionSpec, RoleSpec, Scope
from backstay.core.targets import Target
from backstay.core.wiring import BootError, Code, Place
from backstay.db.base import Entity
from backstay.db.resource import Resource
from backstay.features import STANDARD
from backstay.features.access.model import Role, RolePermission
from backstay.features.items.schemas import ITEMS
from backstay.testing import Login, settings_with
from tests.architecture.booting import feature
from tests.architecture.rigs import OWNED
from tests.features.steps import execute

CLERK = RoleSpec(name="clerk", level=10, grants={ITEMS.read: Scope.ANY, ITEMS.list: Scope.OWN})


def codes(folder: Path, *roles: RoleSpec) -> list[Code]:
    shop = Application("shop", roles=roles, migrations=None)
    with pytest.raises(BootError) as refused:
        shop.compose(settings_with(f"sqlite:///{folder}/unused.db", folder))
    assert all(Path(__file__).name in fault.where for fault in refused.value.faults)
    return [fault.code for fault in refused.value.faults]


def test_a_name_of_two_roles_is_a_boot_error(tmp_path: Path) -> None:
    assert codes(tmp_path, CLERK, RoleSpec(name="clerk", level=20)) == [Code.ROLE_TWICE]


@pytest.mark.parametrize("name", ["admin", "user"])
def test_a_name_of_a_seeded_role_is_a_boot_error(tmp_path: Path, name: str) -> None:
    assert codes(tmp_path, RoleSpec(name=name, level=10)) == [Code.ROLE_TWICE]


@pytest.mark.parametrize("level", [-1, 0, 1000, 2000])
def test_a_level_of_a_seeded_role_is_a_boot_error(tmp_path: Path, level: int) -> None:
    assert codes(tmp_path, RoleSpec(name="clerk", level=level)) == [Code.ROLE_LEVEL]


def test_an_unknown_permission_is_a_boot_error(tmp_path: Path) -> None:
    unknown = PermissionSpec("ships", "sink", description="Sink ships")
    role = RoleSpec(name="clerk", level=10, grants={unknown: Scope.ANY})
    assert codes(tmp_path, role) == [Code.ROLE_PERMISSION]


class Crate(Entity):
    __tablename__ = "test_crates"
    __table_args__ = OWNED


class CrateDetail(View):
    id: UUID


CRATES = Resource("crates", Crate, CrateDetail)


class MoveCrate(Command[None]):
    permission = CRATES.update
    id: FromPath[UUID]


@handles(MoveCrate)
async def move_crate(command: MoveCrate, crate: Target[Crate]) -> None: ...


def test_own_rows_need_an_entity_with_an_owner(tmp_path: Path) -> None:
    crates = feature(CRATES, MoveCrate, move_crate, name="crates")
    porter = RoleSpec(name="porter", level=10, grants={CRATES.update: Scope.OWN})
    shop = Application(
        "shop", roles=(porter,), features=(*STANDARD, crates), migrations=None, templates=None
    )
    with pytest.raises(BootError) as refused:
        shop.compose(settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path))
    (fault,) = refused.value.faults
    assert fault.code is Code.RESOURCE_NO_OWNER
    assert fault.where.startswith(str(Place.of(porter)).partition(":")[0])
    assert "crates:update in the role porter" in fault.problem
    assert fault.hint.endswith("or write Scope.ANY.")


class TestSeeding:
    @pytest.fixture
    def application(self) -> Application:
        return Application("shop", roles=(CLERK,), migrations=None)

    async def scopes(self, backstay: Backstay) -> list[str]:
        found = select(RolePermission.scope).join(Role).where(Role.name == "clerk")
        return sorted(row.scope for row in await execute(backstay, found))

    async def test_a_declared_role_is_created_with_its_grants(self, backstay: Backstay) -> None:
        await sync_access(backstay)
        assert await self.scopes(backstay) == ["ANY", "OWN"]
        await sync_access(backstay)
        assert await self.scopes(backstay) == ["ANY", "OWN"]

    async def test_what_an_administrator_changes_stays(self, backstay: Backstay) -> None:
        await sync_access(backstay)
        await execute(backstay, delete(RolePermission).where(RolePermission.scope == Scope.ANY))
        await sync_access(backstay)
        assert "ANY" not in await self.scopes(backstay)

    async def test_a_deleted_role_stays_deleted(self, backstay: Backstay) -> None:
        await sync_access(backstay)
        gone = update(Role).where(Role.name == "clerk").values(deleted_at=utc_now())
        await execute(backstay, gone)
        await sync_access(backstay)
        found = await execute(backstay, select(Role.deleted_at).where(Role.name == "clerk"))
        assert [row.deleted_at is None for row in found] == [False]

    async def test_a_strangers_role_of_that_name_gets_no_grants(
        self, backstay: Backstay, login: Login
    ) -> None:
        admin = await login("admin")
        made = await admin.client.post("/api/v1/rbac/roles", json={"name": "clerk", "level": 1})
        assert made.status_code == 201, made.text
        with pytest.raises(Conflict, match="rename or delete theirs"):
            await sync_access(backstay)
        assert await self.scopes(backstay) == []
