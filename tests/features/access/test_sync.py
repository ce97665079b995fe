"""Shows that the permission tables follow the code: new, changed and removed permissions."""

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.permissions import Source
from backstay.features.access.commands.seeding import SyncAccess, declared_permissions
from backstay.features.access.model import Permission, PermissionField
from backstay.features.access.queries.permissions import ListUndeclared
from backstay.features.access.schemas import DeclaredField, DeclaredPermission
from backstay.testing import Login
from tests.features.access.steps import RoleKeeper, done, permissions_by_key, role_path
from tests.features.steps import execute

pytestmark = pytest.mark.anyio


def spec(action: str, description: str = "", *fields: str) -> DeclaredPermission:
    return DeclaredPermission(
        resource="boats",
        action=action,
        operation=None,
        description=description,
        default_scope=None,
        key=f"boats:{action}",
        fields=tuple(DeclaredField(name=f, source=Source.JSON, type="string") for f in fields),
    )


async def sync(backstay: Backstay, *more: DeclaredPermission) -> tuple[str, ...]:
    """Sync as if the code also declared these permissions; what is newly reported as left over.

    Permissions of features that this run leaves out are in the database, and reported always.
    """
    declared = declared_permissions(backstay.features)
    before = await backstay.system(ListUndeclared(permissions=declared))
    permissions = (*declared, *more)
    await backstay.system(SyncAccess(permissions=permissions))
    found = await backstay.system(ListUndeclared(permissions=permissions))
    return tuple(line for line in found if line not in before or "boats" in line)


async def boats(backstay: Backstay) -> dict[str, tuple[str, set[str]]]:
    """The permissions on boats with their descriptions and fields."""
    found = select(Permission.id, Permission.key, Permission.description).where(
        Permission.resource == "boats"
    )
    stored: dict[str, tuple[str, set[str]]] = {}
    for row in (await execute(backstay, found)).all():
        names = select(PermissionField.name).where(PermissionField.permission_id == row.id)
        fields = {field.name for field in (await execute(backstay, names)).all()}
        stored[row.key] = (row.description, fields)
    return stored


async def test_new_and_changed_permissions_are_stored(backstay: Backstay) -> None:
    assert await sync(backstay, spec("sail", "Sail", "sheet")) == ()
    assert await boats(backstay) == {"boats:sail": ("Sail", {"sheet"})}
    assert await sync(backstay, spec("sail", "Go sailing", "sheet", "tack")) == ()
    assert await boats(backstay) == {"boats:sail": ("Go sailing", {"sheet", "tack"})}


async def test_unused_permissions_are_removed_with_their_code(backstay: Backstay) -> None:
    await sync(backstay, spec("sail", "", "sheet", "tack"), spec("row", "", "oar"))
    assert await sync(backstay, spec("sail", "", "tack")) == ()
    assert await boats(backstay) == {"boats:sail": ("", {"tack"})}
    assert await sync(backstay) == ()
    assert await boats(backstay) == {}


async def test_permissions_used_by_roles_are_kept_and_reported(
    backstay: Backstay, login: Login
) -> None:
    await sync(backstay, spec("sail", "", "sheet", "tack"), spec("row", "", "oar"))
    admin = await login("admin")
    keeper = RoleKeeper(admin, await permissions_by_key(admin))
    role = await keeper.role()
    await keeper.grant(role, "boats:sail", rules=[("JSON", "sheet", "DENY")])
    await keeper.grant(role, "boats:row")
    (field,) = await sync(backstay, spec("sail", "", "tack"), spec("row", "", "oar"))
    assert field.startswith("The JSON field sheet of boats:sail is no longer declared; it is kept")
    assert (await boats(backstay))["boats:sail"] == ("", {"sheet", "tack"})
    kept = await sync(backstay)
    assert [sentence.split(" is no longer")[0] for sentence in kept] == [
        "The permission boats:row", "The permission boats:sail",
    ]  # fmt: skip
    assert await boats(backstay) == {"boats:row": ("", set()), "boats:sail": ("", {"sheet"})}
    await done(keeper.client.delete(role_path(role) + "?hard=true"), 204)
    assert await sync(backstay) == ()
    assert await boats(backstay) == {}
