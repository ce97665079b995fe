"""Shows that an explanation agrees with what is authorised, and names the roles that decide it."""

from random import Random
from typing import Any
from uuid import UUID

import pytest

from backstay.composition import Backstay
from backstay.core.bus import check_allowed
from backstay.core.clock import utc_now
from backstay.core.context import Context, Origin, Sender
from backstay.core.errors import AppError
from backstay.core.messages import Query
from backstay.core.permissions import Scope
from backstay.features.access.model import FieldRule, Role, RoleMember, RolePermission
from backstay.features.access.queries.explaining import ExplainPermission
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.access.queries.roles import ListRoles
from backstay.features.access.schemas import Effect, PermissionDetail, RoleShare, rules_of
from backstay.features.auth.queries.principals import GetPrincipalOfUser
from backstay.features.system.queries.activity import ListActivity
from backstay.features.users.queries.directory import ListUsers
from backstay.testing import Add, Login, Person
from tests.examples import SEED
from tests.features.access.steps import RBAC, RoleKeeper, done, role_path
from tests.features.granting import grant
from tests.features.steps import change_user
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

EXPLAIN = f"{RBAC}/explain"
NOBODY = "01900000-0000-7000-8000-000000000000"
ASKED: dict[str, Query[Any]] = {
    "users:list": ListUsers(),
    "roles:list": ListRoles(),
    "permissions:list": ListPermissions(),
    "audit:list": ListActivity(),
}


async def explained(person: Person, user_id: str, key: str) -> dict[str, Any]:
    asked = person.client.get(EXPLAIN, params={"user_id": user_id, "key": key})
    told: dict[str, Any] = await done(asked, 200)
    return told


async def test_the_roles_that_decide_are_told(keeper: RoleKeeper, ada: Person) -> None:
    low = await keeper.role("users:list", name="low", level=1)
    high = await keeper.role(name="high", level=9)
    await keeper.grant(high, "users:list", "OWN", [("QUERY", "email", "DENY")])
    gone = await keeper.role("users:list", name="gone", level=99)
    for role in (low, high, gone):
        await keeper.assign(role, ada)
    await done(keeper.client.delete(role_path(gone)), 204)
    told = await explained(keeper.admin, ada.id, "users:list")
    assert (told["is_allowed"], told["scope"], told["is_superuser"]) == (True, "OWN", False)
    assert told["fields"] == [{"name": "email", "source": "QUERY", "effect": "DENY"}]
    assert told["reasons"] == [
        "The role gone (level 99) would grant it, but it is deleted.",
        "The role high (level 9) grants it for own rows, under field rules.",
        "The role low (level 1) grants it, too, but a role of a higher level decides.",
    ]
    assert {each["name"]: (each["counts"], each["scope"]) for each in told["roles"]} == {
        "gone": (False, "ANY"),
        "high": (True, "OWN"),
        "low": (False, "ANY"),
        "user": (False, None),
    }


async def test_who_holds_nothing_is_told_so(keeper: RoleKeeper, ada: Person) -> None:
    told = await explained(keeper.admin, ada.id, "roles:delete")
    assert (told["is_allowed"], told["scope"], told["fields"]) == (False, None, [])
    assert told["reasons"] == ["No role of the user grants it."]


async def test_a_superuser_needs_no_grant(keeper: RoleKeeper) -> None:
    told = await explained(keeper.admin, keeper.admin.id, "roles:delete")
    assert (told["is_allowed"], told["is_superuser"], told["scope"]) == (True, True, "ANY")
    [reason] = told["reasons"]
    assert "makes a superuser, who holds every permission" in reason


async def test_a_blocked_user_may_do_nothing(
    keeper: RoleKeeper, ada: Person, backstay: Backstay
) -> None:
    await keeper.assign(await keeper.role("users:list"), ada)
    await change_user(backstay, ada.id, blocked_at=utc_now())
    told = await explained(keeper.admin, ada.id, "users:list")
    assert (told["is_allowed"], told["is_active"], told["scope"]) == (False, False, None)
    assert told["reasons"][0] == "The account is blocked, so it may do nothing."


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_what_does_not_exist_is_not_found(keeper: RoleKeeper, ada: Person) -> None:
    ask = keeper.client.get
    near = await ask(EXPLAIN, params={"user_id": ada.id, "key": "user:lists"})
    assert "users:list" in problem(near, 404)["detail"]
    far = await ask(EXPLAIN, params={"user_id": ada.id, "key": "x" * 9})
    assert problem(far, 404)["detail"] == "There is no such permission."
    problem(await ask(EXPLAIN, params={"user_id": NOBODY, "key": "users:list"}), 404)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_under_own_only_oneself_is_explained(
    ada: Person, eve: Person, backstay: Backstay
) -> None:
    problem(await ada.client.get(EXPLAIN, params={"user_id": ada.id, "key": "users:list"}), 403)
    await grant(backstay, ada.id, "permissions:list", Scope.OWN)
    assert (await explained(ada, ada.id, "permissions:list"))["scope"] == "OWN"
    problem(await ada.client.get(EXPLAIN, params={"user_id": eve.id, "key": "users:list"}), 403)
    problem(await ada.client.get(f"{RBAC}/matrix"), 403)


async def invented_roles(
    random: Random, add: Add, permissions: dict[str, PermissionDetail]
) -> list[Role]:
    """Roles of few levels, so that some decide together, with grants under field rules."""
    roles = []
    for number in range(10):
        deleted_at = utc_now() if random.random() < 0.2 else None
        is_superuser = random.random() < 0.1
        made = {"level": random.choice((0, 5, 9)), "is_superuser": is_superuser}
        role = Role(name=f"invented {number}", deleted_at=deleted_at, **made)
        await add(role)
        roles.append(role)
        for permission in permissions.values():
            if random.random() < 0.5:
                continue
            held = {"role_id": role.id, "permission_id": permission.id}
            given = RolePermission(scope=random.choice(list(Scope)), **held)
            await add(given)
            for field in random.sample(permission.fields, random.choice((0, 0, 1, 2))):
                effect = random.choice(list(Effect))
                await add(FieldRule(grant_id=given.id, field_id=field.id, effect=effect))
    return roles


async def is_authorised(backstay: Backstay, user_id: UUID, message: Query[Any]) -> bool:
    """Whether the step of the pipeline lets a user's message pass."""
    principal = await backstay.system(GetPrincipalOfUser(user_id=user_id))
    assert principal is not None
    sender = Sender(backstay.bus.send, principal)
    try:
        await check_allowed(Context(message, principal, Origin(), sender))
    except AppError:
        return False
    return True


def merged(shares: tuple[RoleShare, ...]) -> Scope | None:
    """What the shares that count add up to."""
    scopes = {share.scope for share in shares if share.counts}
    return max(scopes, key=lambda scope: scope is Scope.ANY) if scopes else None


async def test_an_explanation_agrees_with_what_is_authorised(
    login: Login, backstay: Backstay, add: Add
) -> None:
    random, verdicts = Random(SEED), set()
    page = await backstay.system(ListPermissions(per_page=1000))
    permissions = {each.key: each for each in page.items if each.key in ASKED}
    roles = await invented_roles(random, add, permissions)
    for _ in range(12):
        user_id = UUID((await login()).id)
        for role in random.sample(roles, random.randint(0, 4)):
            await add(RoleMember(role_id=role.id, user_id=user_id))
        for key, message in ASKED.items():
            told = await backstay.system(ExplainPermission(user_id=user_id, key=key))
            assert told.is_allowed == await is_authorised(backstay, user_id, message)
            principal = await backstay.system(GetPrincipalOfUser(user_id=user_id))
            assert principal is not None
            held = principal.grant(key)
            assert told.scope == merged(told.roles) == (held.scope if held else None)
            assert told.fields == (rules_of(held) if held else ())
            verdicts.add((told.is_allowed, told.is_superuser, told.scope, bool(told.fields)))
    assert len(verdicts) > 4


async def test_the_matrix_is_read_with_one_request(keeper: RoleKeeper) -> None:
    role = await keeper.role(name="clerk", level=7)
    await keeper.grant(role, "users:list", "OWN", [("QUERY", "email", "DENY")])
    told = await done(keeper.client.get(f"{RBAC}/matrix"), 200)
    assert [each["name"] for each in told["roles"]] == ["admin", "clerk", "user"]
    assert told["roles"][1] == await done(keeper.client.get(role_path(role)), 200)
    assert {each["key"]: each for each in told["details"]} == keeper.permissions
    assert told["permissions"] == [each["key"] for each in told["details"]]
    assert told["is_complete"] is True
    await keeper.grant(role, "roles:list")
    changed = await done(keeper.client.get(f"{RBAC}/matrix"), 200)
    assert len(changed["roles"][1]["grants"]) == 2


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_of_very_many_roles_the_highest_are_shown(keeper: RoleKeeper, add: Add) -> None:
    for number in range(200):
        await add(Role(name=f"many {number}", level=2))
    told = await done(keeper.client.get(f"{RBAC}/matrix"), 200)
    assert (len(told["roles"]), told["is_complete"]) == (200, False)
    assert told["roles"][0]["name"] == "admin"
