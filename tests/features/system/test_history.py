"""Shows the history of an object: every row of the audit trail about it, found by an index."""

from typing import Any

import pytest
from sqlalchemy import text

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.core.listing import Equals
from backstay.features.system.queries.activity import ListActivity
from backstay.testing import Login, Person
from tests.features.access.steps import RoleKeeper, permissions_by_key
from tests.features.plans import plan_of
from tests.features.steps import API, AUTH, execute, needs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True),
]
MANY = 100_000


async def history(admin: Person, target: str) -> list[str]:
    """The messages about an object, oldest first."""
    answer = await admin.client.get(f"{API}/system/activity", params={"target": target})
    assert answer.status_code == 200, answer.text
    return [entry["message"] for entry in reversed(answer.json()["items"])]


@needs("items")
async def test_the_history_of_an_item_begins_with_its_creation(login: Login) -> None:
    admin, person = await login("admin"), await login()
    items = f"{API}/items"
    item, other = [
        (await person.client.post(items, json={"title": title})).json()["id"] for title in "ab"
    ]
    await person.client.patch(f"{items}/{item}", json={"title": "c"})
    await admin.client.delete(f"{items}/{item}")
    await person.client.patch(f"{items}/{item}", json={"title": "d"})
    assert await history(admin, item) == ["CreateItem", "UpdateItem", "DeleteItem", "UpdateItem"]
    assert await history(admin, other) == ["CreateItem"]


async def test_users_roles_and_sessions_have_a_history(login: Login) -> None:
    admin, person = await login("admin"), await login()
    keeper = RoleKeeper(admin, await permissions_by_key(admin))
    role = await keeper.role(level=5)
    await keeper.grant(role, "users:list", "ANY")
    await keeper.assign(role, person)
    await admin.client.delete(f"{API}/rbac/roles/{role['id']}/users/{person.id}")
    await admin.client.post(f"{API}/users/{person.id}/block")
    session = admin.tokens["session_id"]
    await admin.client.delete(f"{AUTH}/sessions/{session}")
    again = await login("admin")
    told = ["CreateRole", "GrantPermission", "AssignRole", "UnassignRole"]
    assert await history(again, role["id"]) == told
    assert await history(again, person.id) == ["RegisterUser", "BlockUser"]
    assert await history(again, session) == ["EndSession"]


async def _fill(backstay: Backstay, kind: str, target: str) -> None:
    """Write many rows about other objects, and fifty about this one."""
    columns = "id, created_at, actor, address, request_id, message, targets, fields, outcome"
    values = "'system', '', '', 'Old', '{\"id\": \"' || %s || '\"}', '[]', 'ok'"
    about = f"CASE WHEN n %% {MANY // 50} = 0 THEN '{target}' ELSE 'other' || n END"
    values = values.replace("%s", about).replace("%%", "%")
    if kind == "postgresql":
        rows = f"SELECT gen_random_uuid(), now(), {values} FROM generate_series(1, {MANY}) AS n"
        rows = rows.replace("]', 'ok'", "]'::json, 'ok'").replace("\"}'", "\"}')::json")
        rows = rows.replace("'{\"id", "('{\"id")
    else:
        numbers = f"WITH r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {MANY}) "
        rows = f"{numbers}SELECT lower(hex(randomblob(16))), datetime('now'), {values} FROM r"
    statement = f"INSERT INTO activity ({columns}) {rows}"
    async with backstay.database.writer.begin() as connection:
        await connection.exec_driver_sql(statement)
    await execute(backstay, text("ANALYZE"))


async def test_a_history_is_flat_in_a_large_trail(backstay: Backstay, database_kind: str) -> None:
    target = str(new_id())
    await _fill(backstay, database_kind, target)
    about: dict[str, Any] = {"target": Equals[str](eq=target)}
    page: Any = await backstay.system(ListActivity(**about, limit=20))
    assert len(page.items) == 20
    for cursor in (None, page.next_cursor):
        plan = await plan_of(backstay, ListActivity(**about, limit=20, cursor=cursor))
        assert "ix_activity_target_id" in plan
        assert "sort" not in plan
        assert "b-tree" not in plan
