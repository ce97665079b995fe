"""Shows that `roles` prints who holds which permission, for people and as JSON."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

from sqlalchemy import update

from backstay.composition import compose
from backstay.core.permissions import Scope
from backstay.features.access.commands.grants import AddFieldRule, GrantPermission
from backstay.features.access.commands.roles import CreateRole
from backstay.features.access.model import Permission
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.access.schemas import Effect
from backstay.testing import settings_with
from tests.cli.conftest import Call


async def add_role(folder: Path) -> None:
    """A role that lists users, but not by e-mail."""
    backstay = compose(settings_with(f"sqlite:///{folder}/backstay.db", folder))
    role = await backstay.system(CreateRole(name="clerk", level=7))
    page = await backstay.system(ListPermissions(q="users:list"))
    (permission,) = page.items
    (field,) = (field for field in permission.fields if field.name == "email")
    where = {"role_id": role.id, "permission_id": permission.id}
    await backstay.system(GrantPermission(**where, scope=Scope.ANY))
    await backstay.system(AddFieldRule(**where, field_id=field.id, effect=Effect.DENY))
    await backstay.close()


def test_the_matrix_is_readable_when_piped_and_as_json(call: Call, home: Path) -> None:
    asyncio.run(add_role(home))
    shown = call("roles")
    assert shown.code == 0, shown.errors
    header, levels, *lines = [line.split() for line in shown.output.splitlines()]
    assert header == ["PERMISSION", "admin", "clerk", "user"]
    assert levels == ["level", "1000", "7", "0"]
    cells = {line[0]: line[1:] for line in lines}
    assert cells["users:list"] == ["all", "ANY*", "-"]
    assert cells["items:create"] == ["all", "-", "OWN"]
    told = json.loads(call("roles", "--json").output)
    assert told["permissions"] == list(cells)
    clerk = next(role for role in told["roles"] if role["name"] == "clerk")
    assert UUID(clerk["id"])
    assert [grant["permission"] for grant in clerk["grants"]] == ["users:list"]


def test_db_check_reports_permissions_no_longer_declared(call: Call, home: Path) -> None:
    asyncio.run(rename_permission(home))
    checked = call("db", "check")
    assert checked.code == 0
    kept, *_, current = checked.output.splitlines()
    assert kept.startswith("The permission items:burn is no longer declared; it is kept")
    assert current == "The database is current."


async def rename_permission(folder: Path) -> None:
    """Rename a permission in the database, as if the code had declared it by another name."""
    backstay = compose(settings_with(f"sqlite:///{folder}/backstay.db", folder))
    renamed = update(Permission).where(Permission.key == "items:delete").values(key="items:burn")
    async with backstay.database.writer.begin() as connection:
        await connection.execute(renamed)
    await backstay.close()
