"""Shows that who administers roles without being a superuser gives nobody more than they hold."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.context import Sender
from backstay.core.errors import Forbidden
from backstay.core.principal import Principal
from backstay.features.access.commands.roles import UpdateRole
from backstay.features.access.model import RoleMember
from backstay.features.access.queries.roles import GetMatrix
from tests.conftest import Login, Person
from tests.features.access.steps import RBAC, ROLES, Keeper, done, role_path
from tests.features.steps import API, ME, execute
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

MANAGES = (
    *(f"roles:{action}" for action in ("create", "list", "read", "update", "delete", "restore")),
    *("roles:assign", "roles:unassign"),
    *("permissions:list", "permissions:grant", "permissions:revoke"),
)
LIST, READ, EMAIL = "users:list", "users:read", ("QUERY", "email")


class World:
    """Eve manages roles at level 50; beneath her, at her level and above her are others."""

    def __init__(self, keeper: Keeper, backstay: Backstay) -> None:
        self.keeper = keeper
        self.backstay = backstay
        self.roles: dict[str, Any] = {}
        self.people: dict[str, Person] = {"admin": keeper.admin}

    async def prepare(self, login: Login) -> None:
        keeper, roles, people = self.keeper, self.roles, self.people
        for name in ("eve", "ada", "boss"):
            people[name] = await login(name=name)
        seeded = (await done(keeper.client.get(ROLES), 200))["items"]
        roles |= {role["name"]: role for role in seeded}
        roles["manager"] = await keeper.role(*MANAGES, level=50)
        await keeper.grant(roles["manager"], LIST, rules=[(*EMAIL, "DENY")])
        await keeper.grant(roles["manager"], READ, "OWN")
        roles["equal"] = await keeper.role(level=50)
        roles["chief"] = await keeper.role(level=0, is_superuser=True)
        roles["fallen"] = await keeper.role(level=1, is_superuser=True)
        roles["junior"] = await keeper.role(level=10)
        await keeper.grant(roles["junior"], READ, "OWN")
        roles["strict"] = await keeper.role(level=10)
        await keeper.grant(roles["strict"], LIST, rules=[(*EMAIL, "DENY")])
        roles["vault"] = await keeper.role(LIST, level=10)
        roles["buried"] = await keeper.role(LIST, level=10)
        for role, person in (
            *(("manager", "eve"), ("chief", "boss"), ("junior", "boss"), ("vault", "ada")),
            *(("buried", "ada"), ("fallen", "ada")),
        ):
            await keeper.assign(roles[role], people[person])
        for role in ("buried", "fallen"):
            await done(keeper.client.delete(role_path(roles[role])), 204)

    async def state(self) -> tuple[Any, ...]:
        """Everything there is about roles."""
        members = (await execute(self.backstay, select(RoleMember.__table__))).all()
        return await self.backstay.system(GetMatrix()), sorted(members)

    def path(self, name: str) -> str:
        return role_path(self.roles[name])

    def member(self, role: str, person: str) -> str:
        return f"{self.path(role)}/users/{self.people[person].id}"

    def granting(self, role: str, permission: str, **fields: str) -> dict[str, str]:
        ids = {"role_id": self.roles[role]["id"], "permission_id": self.keeper.id_of(permission)}
        return ids | fields

    def grant(self, role: str, permission: str, field: tuple[str, str] | None = None) -> str:
        return self.keeper.path_of(self.roles[role], permission, field)


@pytest.fixture
async def world(keeper: Keeper, backstay: Backstay, login: Login) -> World:
    world = World(keeper, backstay)
    await world.prepare(login)
    return world


Attack = tuple[str, str, Any]


def attacks_on_roles(world: World) -> list[Attack]:
    others = ("admin", "chief", "manager", "equal")
    return [
        ("POST", ROLES, {"name": "root", "is_superuser": True}),
        ("POST", ROLES, {"name": "peer", "level": 50}),
        ("POST", ROLES, {"name": "above", "level": 51}),
        ("PATCH", world.path("junior"), {"is_superuser": True}),
        ("PATCH", world.path("junior"), {"level": 50}),
        ("PATCH", world.path("vault"), {"level": 20}),
        *(("PATCH", world.path(name), {"description": "mine"}) for name in others),
        ("PATCH", world.path("chief"), {"is_superuser": False}),
        *(("DELETE", world.path(name), None) for name in others),
        *(("DELETE", f"{world.path(name)}?hard=true", None) for name in (*others, "fallen")),
        ("POST", f"{world.path('fallen')}/restore", None),
        ("POST", f"{world.path('buried')}/restore", None),
    ]


def attacks_on_members(world: World) -> list[Attack]:
    return [
        *(
            ("POST", world.member(role, person), None)
            for role, person in (
                *(("admin", "eve"), ("admin", "ada"), ("chief", "eve"), ("chief", "ada")),
                *(("manager", "ada"), ("equal", "ada"), ("vault", "eve"), ("junior", "eve")),
                *(("junior", "admin"), ("user", "boss"), ("strict", "boss")),
            )
        ),
        *(
            ("DELETE", world.member(role, person), None)
            for role, person in (
                *(("admin", "admin"), ("chief", "boss"), ("junior", "boss"), ("vault", "ada")),
                *(("manager", "eve"), ("user", "eve"), ("user", "admin")),
            )
        ),
    ]


def attacks_on_grants(world: World) -> list[Attack]:
    permissions, rules = f"{RBAC}/permissions", f"{RBAC}/permission-fields"
    field = world.keeper.field_id(LIST, *EMAIL)
    other = world.keeper.field_id(LIST, "QUERY", "name")
    return [
        ("POST", permissions, world.granting("junior", LIST, scope="ANY")),
        ("POST", permissions, world.granting("junior", LIST, scope="OWN")),
        ("POST", permissions, world.granting("strict", READ, scope="ANY")),
        *(
            ("POST", permissions, world.granting(role, "roles:list", scope="OWN"))
            for role in ("admin", "chief", "equal")
        ),
        ("PATCH", world.grant("junior", READ), {"scope": "ANY"}),
        ("PATCH", world.grant("manager", READ), {"scope": "ANY"}),
        ("DELETE", world.grant("manager", LIST), None),
        ("DELETE", world.grant("manager", LIST, EMAIL), None),
        ("PATCH", world.grant("manager", LIST, EMAIL), {"effect": "ALLOW"}),
        ("DELETE", world.grant("strict", LIST, EMAIL), None),
        ("PATCH", world.grant("strict", LIST, EMAIL), {"effect": "ALLOW"}),
        ("POST", rules, world.granting("strict", LIST, field_id=other, effect="ALLOW")),
        ("POST", rules, world.granting("manager", LIST, field_id=other, effect="DENY")),
        ("PATCH", world.grant("strict", LIST, EMAIL), {"effect": "DENY"}),
        ("POST", rules, world.granting("vault", LIST, field_id=field, effect="ALLOW")),
    ]


@pytest.mark.parametrize("attacks", [attacks_on_roles, attacks_on_members, attacks_on_grants])
async def test_no_route_leads_upwards(
    world: World, attacks: Callable[[World], list[Attack]]
) -> None:
    eve = world.people["eve"]
    before, own = await world.state(), (await eve.client.get(ME)).json()
    for method, path, body in attacks(world):
        answer = await eve.client.request(method, path, json=body)
        assert answer.status_code == 403, (method, path, body, answer.text)
        problem(answer, 403, "forbidden")
    assert await world.state() == before
    assert (await eve.client.get(ME)).json() == own


async def test_what_is_below_a_manager_can_be_managed(world: World) -> None:
    eve, ada, permissions = world.people["eve"].client, world.people["ada"], f"{RBAC}/permissions"
    role = world.roles["new"] = await done(eve.post(ROLES, json={"name": "new", "level": 49}))
    await done(eve.post(permissions, json=world.granting("new", "roles:list", scope="ANY")))
    await done(eve.post(permissions, json=world.granting("new", READ, scope="OWN")))
    field = world.keeper.field_id("roles:list", "QUERY", "name")
    rule = world.granting("new", "roles:list", field_id=field, effect="DENY")
    await done(eve.post(f"{RBAC}/permission-fields", json=rule))
    await done(eve.post(world.member("new", "ada")))
    assert (await ada.client.get(ROLES)).status_code == 200
    problem(await ada.client.get(f"{ROLES}?name=x"), 403)
    await done(eve.delete(world.grant("new", "roles:list", ("QUERY", "name"))), 204)
    assert (await ada.client.get(f"{ROLES}?name=x")).status_code == 200
    await done(eve.patch(world.grant("new", "roles:list"), json={"scope": "OWN"}), 200)
    assert (await ada.client.get(ROLES)).json()["items"] == []
    await done(eve.patch(role_path(role), json={"level": 20, "name": "newer"}), 200)
    await done(eve.delete(world.member("new", "ada")), 204)
    problem(await ada.client.get(ROLES), 403)
    await done(eve.delete(world.grant("new", "roles:list")), 204)
    await done(eve.delete(role_path(role)), 204)
    await done(eve.post(f"{role_path(role)}/restore"), 200)
    await done(eve.delete(f"{role_path(role)}?hard=true"), 204)


async def test_revoking_what_restricts_oneself_is_refused(world: World) -> None:
    """A role between that grants users:list under a rule hides a lower one that grants it free."""
    keeper, eve = world.keeper, world.people["eve"].client
    await done(keeper.client.delete(world.grant("manager", LIST)), 204)
    world.roles["between"] = await keeper.role(level=20)
    await keeper.grant(world.roles["between"], LIST, rules=[(*EMAIL, "DENY")])
    for role in ("between", "vault"):
        await keeper.assign(world.roles[role], world.people["eve"])
    before = await world.state()
    for method, path, body in (
        ("DELETE", world.grant("between", LIST), None),
        ("DELETE", world.path("between"), None),
        ("DELETE", f"{world.path('between')}?hard=true", None),
        ("PATCH", world.path("between"), {"level": 5}),
        ("PATCH", world.path("vault"), {"level": 30}),
        ("DELETE", world.member("between", "eve"), None),
    ):
        problem(await eve.request(method, path, json=body), 403, "forbidden")
    assert await world.state() == before
    problem(await eve.get(f"{API}/users?email=x"), 403)
    await done(eve.delete(world.grant("vault", LIST)), 204)


async def test_taking_a_restricting_role_from_an_accomplice_is_refused(world: World) -> None:
    keeper, eve, ada = world.keeper, world.people["eve"].client, world.people["ada"]
    await done(keeper.client.patch(world.path("strict"), json={"level": 11}), 200)
    await keeper.assign(world.roles["strict"], ada)
    problem(await ada.client.get(f"{API}/users?email=x"), 403)
    problem(await eve.delete(world.member("strict", "ada")), 403, "forbidden")
    problem(await ada.client.get(f"{API}/users?email=x"), 403)


async def test_what_was_lost_meanwhile_counts(world: World, backstay: Backstay) -> None:
    """A request that was let in before its sender lost power finds that out inside."""
    ada = Principal(user_id=UUID(world.people["ada"].id), is_superuser=True, level=1000)
    before = await world.state()
    with pytest.raises(Forbidden, match="needs the permission roles:update"):
        await Sender(backstay.buses, ada)(
            UpdateRole(role_id=UUID(world.roles["junior"]["id"]), name="mine")
        )
    assert await world.state() == before
