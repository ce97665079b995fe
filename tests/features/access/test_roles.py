"""Shows how roles are made, changed, hidden, and given to people."""

from uuid import UUID

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.features.access.model import RoleMember
from backstay.testing import Person
from tests.features.access.steps import RBAC, ROLES, RoleKeeper, done, role_path
from tests.features.steps import API, ME, Trail, execute, needs
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"


async def test_a_role_is_made_read_changed_and_deleted(keeper: RoleKeeper) -> None:
    made = await keeper.client.post(ROLES, json={"name": " Editor ", "level": 5})
    assert made.status_code == 201, made.text
    role = made.json()
    assert made.headers["location"] == role_path(role)
    assert (role["name"], role["description"], role["level"]) == ("Editor", "", 5)
    assert (role["is_superuser"], role["grants"]) == (False, [])
    read = await keeper.client.get(role_path(role))
    assert (read.json(), read.headers["etag"]) == (role, made.headers["etag"])
    changed = await done(
        keeper.client.patch(role_path(role), json={"name": "Author", "description": "Writes."}), 200
    )
    assert (changed["name"], changed["description"], changed["level"]) == ("Author", "Writes.", 5)
    assert changed["version"] == 2
    await done(keeper.client.delete(role_path(role)), 204)
    problem(await keeper.client.get(role_path(role)), 404)
    problem(await keeper.client.patch(role_path(role), json={"level": 6}), 404)
    restored = await done(keeper.client.post(f"{role_path(role)}/restore"), 200)
    assert restored["name"] == "Author"
    await done(keeper.client.delete(f"{role_path(role)}?hard=true"), 204)
    problem(await keeper.client.post(f"{role_path(role)}/restore"), 404)


async def test_names_are_unique_among_living_roles(keeper: RoleKeeper) -> None:
    role = await keeper.role(name="Editor")
    problem(await keeper.client.post(ROLES, json={"name": "Editor"}), 409, "access.role_name_taken")
    await done(keeper.client.delete(role_path(role)), 204)
    await keeper.role(name="Editor")
    again = await keeper.client.post(f"{role_path(role)}/restore")
    problem(again, 409, "access.role_name_taken")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "x", "level": -1}, "level"),
        ({"name": "x", "level": 2**40}, "level"),
        ({"name": "x", "grants": []}, "grants"),
    ],
)
async def test_invalid_roles_are_refused(
    keeper: RoleKeeper, body: dict[str, object], field: str
) -> None:
    assert field in fields_of(problem(await keeper.client.post(ROLES, json=body), 422))


async def test_the_list_is_light_sorted_and_filtered(keeper: RoleKeeper) -> None:
    low, high = await keeper.role("users:list", level=3), await keeper.role(level=7)
    page = await done(keeper.client.get(f"{ROLES}?sort=level&level__gte=1&level__lte=10"), 200)
    assert [role["id"] for role in page["items"]] == [low["id"], high["id"]]
    assert "grants" not in page["items"][0]
    names = [role["name"] for role in (await done(keeper.client.get(ROLES), 200))["items"]]
    assert {"admin", "user"} <= set(names)
    await done(keeper.client.delete(role_path(high)), 204)
    hidden = await done(keeper.client.get(f"{ROLES}?is_deleted=true"), 200)
    assert [role["id"] for role in hidden["items"]] == [high["id"]]
    walked = await done(keeper.client.get(f"{ROLES}?limit=2&sort=name"), 200)
    assert (len(walked["items"]), walked["next_cursor"] is not None) == (2, True)


async def test_a_stale_tag_changes_nothing(keeper: RoleKeeper, ada: Person) -> None:
    role = await keeper.role("users:list")
    seen = {"If-Match": (await keeper.client.get(role_path(role))).headers["etag"]}
    await keeper.grant(role, "users:read")
    for method, path, body in (
        ("PATCH", role_path(role), {"level": 4}),
        ("DELETE", role_path(role), None),
        ("PATCH", keeper.path_of(role, "users:list"), {"scope": "OWN"}),
        ("DELETE", keeper.path_of(role, "users:list"), None),
    ):
        refused = await keeper.client.request(method, path, headers=seen, json=body)
        problem(refused, 412, "precondition_failed")
    read = await keeper.client.get(role_path(role))
    now = {"If-Match": read.headers["etag"]}
    assert [grant["scope"] for grant in read.json()["grants"]] == ["ANY", "ANY"]
    assert (await keeper.client.get(role_path(role), headers=now)).status_code == 200
    cached = {"If-None-Match": read.headers["etag"]}
    assert (await keeper.client.get(role_path(role), headers=cached)).status_code == 304
    assert (
        await keeper.client.patch(role_path(role), headers=now, json={"level": 4})
    ).status_code == 200


async def test_the_detail_shows_grants_and_field_rules(keeper: RoleKeeper) -> None:
    role = await keeper.role()
    await keeper.grant(role, "users:list", "OWN", [("QUERY", "email", "DENY")])
    (grant,) = (await done(keeper.client.get(role_path(role)), 200))["grants"]
    assert (grant["permission"], grant["scope"]) == ("users:list", "OWN")
    (rule,) = grant["fields"]
    assert (rule["source"], rule["name"], rule["effect"]) == ("QUERY", "email", "DENY")
    path = keeper.path_of(role, "users:list", ("QUERY", "email"))
    changed = await done(keeper.client.patch(path, json={"effect": "ALLOW"}), 200)
    assert changed == {**rule, "effect": "ALLOW"}
    await done(keeper.client.patch(keeper.path_of(role, "users:list"), json={"scope": "ANY"}), 200)
    await done(keeper.client.delete(path), 204)
    problem(await keeper.client.delete(path), 404)
    (grant,) = (await done(keeper.client.get(role_path(role)), 200))["grants"]
    assert (grant["scope"], grant["fields"]) == ("ANY", [])
    await done(keeper.client.delete(keeper.path_of(role, "users:list")), 204)
    problem(await keeper.client.delete(keeper.path_of(role, "users:list")), 404)
    assert (await done(keeper.client.get(role_path(role)), 200))["grants"] == []


async def test_duplicate_grants_rules_and_memberships_are_refused(
    keeper: RoleKeeper, ada: Person
) -> None:
    role = await keeper.role()
    await keeper.grant(role, "users:list", rules=[("QUERY", "email", "DENY")])
    await keeper.assign(role, ada)
    where = {"role_id": role["id"], "permission_id": keeper.id_of("users:list")}
    again = await keeper.client.post(f"{RBAC}/permissions", json={**where, "scope": "OWN"})
    problem(again, 409, "access.grant_exists")
    field = {"field_id": keeper.field_id("users:list", "QUERY", "email"), "effect": "ALLOW"}
    again = await keeper.client.post(f"{RBAC}/permission-fields", json={**where, **field})
    problem(again, 409, "access.field_rule_exists")
    again = await keeper.client.post(f"{role_path(role)}/users/{ada.id}")
    problem(again, 409, "access.already_assigned")
    (grant,) = (await done(keeper.client.get(role_path(role)), 200))["grants"]
    assert (grant["scope"], grant["fields"][0]["effect"]) == ("ANY", "DENY")


async def test_unknown_ids_are_not_found(keeper: RoleKeeper, ada: Person) -> None:
    role, client = await keeper.role("users:list"), keeper.client
    known = keeper.id_of("users:list")
    for role_id, permission_id in ((NOWHERE, known), (role["id"], NOWHERE)):
        where = {"role_id": role_id, "permission_id": permission_id}
        problem(await client.post(f"{RBAC}/permissions", json={**where, "scope": "OWN"}), 404)
        rule = {**where, "field_id": NOWHERE, "effect": "DENY"}
        problem(await client.post(f"{RBAC}/permission-fields", json=rule), 404)
    rule = {"role_id": role["id"], "permission_id": known, "effect": "DENY"}
    for field_id in (NOWHERE, keeper.field_id("roles:list", "QUERY", "name")):
        body = {**rule, "field_id": field_id}
        refused = await client.post(f"{RBAC}/permission-fields", json=body)
        assert fields_of(problem(refused, 422)) == {"field_id": "unknown_field"}
    for path in (
        f"{ROLES}/{NOWHERE}/users",
        f"{RBAC}/users/{NOWHERE}/roles",
        f"{RBAC}/users/{NOWHERE}/permissions",
    ):
        problem(await client.get(path), 404)
    problem(await client.post(f"{role_path(role)}/users/{NOWHERE}"), 404)
    problem(await client.post(f"{ROLES}/{NOWHERE}/users/{ada.id}"), 404)
    problem(await client.delete(f"{role_path(role)}/users/{ada.id}"), 404)


@needs("items")
async def test_permissions_are_listed_with_their_fields(keeper: RoleKeeper) -> None:
    update = keeper.permissions["items:update"]
    assert (update["resource"], update["action"], update["operation"]) == ("items", "update", None)
    assert {(f["source"], f["name"], f["type"]) for f in update["fields"]} == {
        ("JSON", "title", "string"),
        ("JSON", "description", "string"),
    }
    listed = {(f["source"], f["name"]) for f in keeper.permissions["items:list"]["fields"]}
    assert ("QUERY", "title") in listed
    assert ("QUERY", "page") not in listed
    found = await done(keeper.client.get(f"{RBAC}/permissions?resource=roles&sort=key"), 200)
    assert [each["action"] for each in found["items"]] == [
        *("assign", "create", "delete", "list", "read", "restore", "unassign", "update")
    ]


async def test_a_role_starts_and_ends_with_the_next_request(
    keeper: RoleKeeper, ada: Person
) -> None:
    role, users = await keeper.role("users:list"), f"{API}/users"
    problem(await ada.client.get(users), 403)
    await keeper.assign(role, ada)
    assert (await ada.client.get(users)).status_code == 200
    await done(keeper.client.delete(role_path(role)), 204)
    problem(await ada.client.get(users), 403)
    await done(keeper.client.post(f"{role_path(role)}/restore"), 200)
    assert (await ada.client.get(users)).status_code == 200
    await done(keeper.client.delete(keeper.path_of(role, "users:list")), 204)
    problem(await ada.client.get(users), 403)
    await keeper.grant(role, "users:list", rules=[("QUERY", "email", "DENY")])
    assert (await ada.client.get(users)).status_code == 200
    problem(await ada.client.get(f"{users}?email=x"), 403)
    await done(keeper.client.patch(role_path(role), json={"is_superuser": True}), 200)
    assert (await ada.client.get(f"{users}?email=x")).status_code == 200
    await done(keeper.client.delete(f"{role_path(role)}/users/{ada.id}"), 204)
    problem(await ada.client.get(users), 403)


async def test_members_and_roles_are_found_from_both_sides(
    keeper: RoleKeeper, ada: Person, eve: Person
) -> None:
    role = await keeper.role("users:list")
    assert (await done(keeper.client.get(f"{role_path(role)}/users"), 200))["items"] == []
    for person in (ada, eve):
        await keeper.assign(role, person)
    members = await done(keeper.client.get(f"{role_path(role)}/users?sort=email"), 200)
    assert [each["email"] for each in members["items"]] == [ada.email, eve.email]
    roles = await done(keeper.client.get(f"{RBAC}/users/{ada.id}/roles?sort=-level"), 200)
    assert [each["name"] for each in roles["items"]] == [role["name"], "user"]
    assert (await ada.client.get(ME)).json()["roles"] == [role["name"], "user"]


@needs("items")
async def test_the_permissions_of_a_user_are_merged(keeper: RoleKeeper, ada: Person) -> None:
    role = await keeper.role()
    await keeper.grant(role, "items:update", "ANY", [("JSON", "title", "DENY")])
    await keeper.assign(role, ada)
    path = f"{RBAC}/users/{ada.id}/permissions"
    held = (await done(keeper.client.get(f"{path}?sort=key&per_page=1000"), 200))["items"]
    assert {each["key"]: each["scope"] for each in held}.items() >= {
        "items:create": "OWN", "items:update": "ANY"
    }.items()  # fmt: skip
    (update,) = (await done(keeper.client.get(f"{path}?key=items:update"), 200))["items"]
    assert update["fields"] == [{"name": "title", "source": "JSON", "effect": "DENY"}]
    page = await done(keeper.client.get(f"{path}?limit=1"), 200)
    assert (len(page["items"]), page["next_cursor"] is not None) == (1, True)
    everything = f"{RBAC}/users/{keeper.admin.id}/permissions"
    assert (await done(keeper.client.get(everything), 200))["total"] == len(keeper.permissions)


async def test_under_own_scope_one_reads_about_oneself_only(
    keeper: RoleKeeper, ada: Person, eve: Person
) -> None:
    role = await keeper.role()
    for permission in ("roles:read", "roles:list", "permissions:list", "roles:create"):
        await keeper.grant(role, permission, "OWN")
    await keeper.assign(role, ada)
    for what in ("roles", "permissions"):
        assert (await ada.client.get(f"{RBAC}/users/{ada.id}/{what}")).json()["total"] > 0
        problem(await ada.client.get(f"{RBAC}/users/{eve.id}/{what}"), 403)
    problem(await ada.client.get(role_path(role)), 404)
    assert (await ada.client.get(ROLES)).json()["items"] == []
    problem(await ada.client.post(ROLES, json={"name": "own"}), 403)


async def test_every_role_route_needs_a_permission(keeper: RoleKeeper, ada: Person) -> None:
    role = await keeper.role("users:list")
    rule = {"field_id": keeper.field_id("users:list", "QUERY", "email"), "effect": "DENY"}
    where = {"role_id": role["id"], "permission_id": keeper.id_of("users:list")}
    grant = keeper.path_of(role, "users:list")
    for method, path, body in (
        ("GET", ROLES, None),
        ("POST", ROLES, {"name": "x"}),
        ("GET", role_path(role), None),
        ("PATCH", role_path(role), {"level": 1}),
        ("DELETE", role_path(role), None),
        ("POST", f"{role_path(role)}/restore", None),
        ("GET", f"{RBAC}/permissions", None),
        ("POST", f"{RBAC}/permissions", {**where, "scope": "OWN"}),
        ("POST", f"{RBAC}/permission-fields", {**where, **rule}),
        ("PATCH", f"{grant}/fields/{rule['field_id']}", {"effect": "ALLOW"}),
        ("DELETE", f"{grant}/fields/{rule['field_id']}", None),
        ("PATCH", grant, {"scope": "OWN"}),
        ("DELETE", grant, None),
        ("GET", f"{role_path(role)}/users", None),
        ("POST", f"{role_path(role)}/users/{ada.id}", None),
        ("DELETE", f"{role_path(role)}/users/{ada.id}", None),
        ("GET", f"{RBAC}/users/{ada.id}/roles", None),
        ("GET", f"{RBAC}/users/{ada.id}/permissions", None),
    ):
        problem(await ada.client.request(method, path, json=body), 403, "forbidden")


async def test_deleting_for_good_takes_grants_and_members_along(
    keeper: RoleKeeper, ada: Person, backstay: Backstay
) -> None:
    role = await keeper.role("users:list")
    await keeper.assign(role, ada)
    await done(keeper.client.delete(f"{role_path(role)}?hard=true"), 204)
    members = select(RoleMember).where(RoleMember.role_id == UUID(role["id"]))
    assert (await execute(backstay, members)).all() == []
    assert (await ada.client.get(ME)).json()["roles"] == ["user"]


@needs("system")
async def test_the_audit_trail_names_role_and_permission(keeper: RoleKeeper, trail: Trail) -> None:
    role = await keeper.role()
    await trail()
    await keeper.grant(role, "users:list")
    (row,) = await trail()
    ids = {"role_id": role["id"], "permission_id": keeper.id_of("users:list")}
    assert row.targets == {**ids, "id": role["id"]}
