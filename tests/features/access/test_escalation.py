"""Shows that a role manager who is no superuser gives nobody more than they hold themselves."""

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
from backstay.testing import Login, Person
from tests.features.access.steps import RBAC, ROLES, RoleKeeper, done, role_path
from tests.features.steps import API, ME, execute
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

MANAGES = (
    *(f"roles:{action}" for action in ("create", "list", "read", "update", "delete", "restore")),
    *("roles:assign", "roles:unassign"),
    *("permissions:list", "permissions:grant", "permissions:revoke"),
)
LIST, READ, EMAIL = "users:list", "users:read", ("QUERY", "email")


class Scenario:
    """Eve manages roles at level 50; other users and roles are below, at and above her level."""

    def __init__(self, keeper: RoleKeeper, backstay: Backstay) -> None:
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
        """All roles, grants, field rules and memberships."""
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
async def scenario(keeper: RoleKeeper, backstay: Backstay, login: Login) -> Scenario:
    scenario = Scenario(keeper, backstay)
    await scenario.prepare(login)
    return scenario


Attack = tuple[str, str, Any]


def attacks_on_roles(scenario: Scenario) -> list[Attack]:
    others = ("admin", "chief", "manager", "equal")
    return [
        ("POST", ROLES, {"name": "root", "is_superuser": True}),
        ("POST", ROLES, {"name": "peer", "level": 50}),
        ("POST", ROLES, {"name": "above", "level": 51}),
        ("PATCH", scenario.path("junior"), {"is_superuser": True}),
        ("PATCH", scenario.path("junior"), {"level": 50}),
        ("PATCH", scenario.path("vault"), {"level": 20}),
        *(("PATCH", scenario.path(name), {"description": "mine"}) for name in others),
        ("PATCH", scenario.path("chief"), {"is_superuser": False}),
        *(("DELETE", scenario.path(name), None) for name in others),
        *(("DELETE", f"{scenario.path(name)}?hard=true", None) for name in (*others, "fallen")),
        ("POST", f"{scenario.path('fallen')}/restore", None),
        ("POST", f"{scenario.path('buried')}/restore", None),
    ]


def attacks_on_members(scenario: Scenario) -> list[Attack]:
    return [
        *(
            ("POST", scenario.member(role, person), None)
            for role, person in (
                *(("admin", "eve"), ("admin", "ada"), ("chief", "eve"), ("chief", "ada")),
                *(("manager", "ada"), ("equal", "ada"), ("vault", "eve"), ("junior", "eve")),
                *(("junior", "admin"), ("user", "boss"), ("strict", "boss")),
            )
        ),
        *(
            ("DELETE", scenario.member(role, person), None)
            for role, person in (
                *(("admin", "admin"), ("chief", "boss"), ("junior", "boss"), ("vault", "ada")),
                *(("manager", "eve"), ("user", "eve"), ("user", "admin")),
            )
        ),
    ]


def attacks_on_grants(scenario: Scenario) -> list[Attack]:
    permissions, rules = f"{RBAC}/permissions", f"{RBAC}/permission-fields"
    field = scenario.keeper.field_id(LIST, *EMAIL)
    other = scenario.keeper.field_id(LIST, "QUERY", "name")
    return [
        ("POST", permissions, scenario.granting("junior", LIST, scope="ANY")),
        ("POST", permissions, scenario.granting("junior", LIST, scope="OWN")),
        ("POST", permissions, scenario.granting("strict", READ, scope="ANY")),
        *(
            ("POST", permissions, scenario.granting(role, "roles:list", scope="OWN"))
            for role in ("admin", "chief", "equal")
        ),
        ("PATCH", scenario.grant("junior", READ), {"scope": "ANY"}),
        ("PATCH", scenario.grant("manager", READ), {"scope": "ANY"}),
        ("DELETE", scenario.grant("manager", LIST), None),
        ("DELETE", scenario.grant("manager", LIST, EMAIL), None),
        ("PATCH", scenario.grant("manager", LIST, EMAIL), {"effect": "ALLOW"}),
        ("DELETE", scenario.grant("strict", LIST, EMAIL), None),
        ("PATCH", scenario.grant("strict", LIST, EMAIL), {"effect": "ALLOW"}),
        ("POST", rules, scenario.granting("strict", LIST, field_id=other, effect="ALLOW")),
        ("POST", rules, scenario.granting("manager", LIST, field_id=other, effect="DENY")),
        ("PATCH", scenario.grant("strict", LIST, EMAIL), {"effect": "DENY"}),
        ("POST", rules, scenario.granting("vault", LIST, field_id=field, effect="ALLOW")),
    ]


@pytest.mark.parametrize("attacks", [attacks_on_roles, attacks_on_members, attacks_on_grants])
async def test_no_route_gives_more_power_than_the_sender_has(
    scenario: Scenario, attacks: Callable[[Scenario], list[Attack]]
) -> None:
    eve = scenario.people["eve"]
    before, own = await scenario.state(), (await eve.client.get(ME)).json()
    for method, path, body in attacks(scenario):
        answer = await eve.client.request(method, path, json=body)
        assert answer.status_code == 403, (method, path, body, answer.text)
        problem(answer, 403, "forbidden")
    assert await scenario.state() == before
    assert (await eve.client.get(ME)).json() == own


async def test_a_manager_manages_roles_below_their_own(scenario: Scenario) -> None:
    eve, ada, permissions = (
        scenario.people["eve"].client,
        scenario.people["ada"],
        f"{RBAC}/permissions",
    )
    role = scenario.roles["new"] = await done(eve.post(ROLES, json={"name": "new", "level": 49}))
    await done(eve.post(permissions, json=scenario.granting("new", "roles:list", scope="ANY")))
    await done(eve.post(permissions, json=scenario.granting("new", READ, scope="OWN")))
    field = scenario.keeper.field_id("roles:list", "QUERY", "name")
    rule = scenario.granting("new", "roles:list", field_id=field, effect="DENY")
    await done(eve.post(f"{RBAC}/permission-fields", json=rule))
    await done(eve.post(scenario.member("new", "ada")))
    assert (await ada.client.get(ROLES)).status_code == 200
    problem(await ada.client.get(f"{ROLES}?name=x"), 403)
    await done(eve.delete(scenario.grant("new", "roles:list", ("QUERY", "name"))), 204)
    assert (await ada.client.get(f"{ROLES}?name=x")).status_code == 200
    await done(eve.patch(scenario.grant("new", "roles:list"), json={"scope": "OWN"}), 200)
    assert (await ada.client.get(ROLES)).json()["items"] == []
    await done(eve.patch(role_path(role), json={"level": 20, "name": "newer"}), 200)
    await done(eve.delete(scenario.member("new", "ada")), 204)
    problem(await ada.client.get(ROLES), 403)
    await done(eve.delete(scenario.grant("new", "roles:list")), 204)
    await done(eve.delete(role_path(role)), 204)
    await done(eve.post(f"{role_path(role)}/restore"), 200)
    await done(eve.delete(f"{role_path(role)}?hard=true"), 204)


async def test_revoking_what_restricts_oneself_is_refused(scenario: Scenario) -> None:
    """A middle role that grants users:list under a rule hides a lower role that grants it fully."""
    keeper, eve = scenario.keeper, scenario.people["eve"].client
    await done(keeper.client.delete(scenario.grant("manager", LIST)), 204)
    scenario.roles["between"] = await keeper.role(level=20)
    await keeper.grant(scenario.roles["between"], LIST, rules=[(*EMAIL, "DENY")])
    for role in ("between", "vault"):
        await keeper.assign(scenario.roles[role], scenario.people["eve"])
    before = await scenario.state()
    for method, path, body in (
        ("DELETE", scenario.grant("between", LIST), None),
        ("DELETE", scenario.path("between"), None),
        ("DELETE", f"{scenario.path('between')}?hard=true", None),
        ("PATCH", scenario.path("between"), {"level": 5}),
        ("PATCH", scenario.path("vault"), {"level": 30}),
        ("DELETE", scenario.member("between", "eve"), None),
    ):
        problem(await eve.request(method, path, json=body), 403, "forbidden")
    assert await scenario.state() == before
    problem(await eve.get(f"{API}/users?email=x"), 403)
    await done(eve.delete(scenario.grant("vault", LIST)), 204)


async def test_taking_a_restricting_role_from_an_accomplice_is_refused(scenario: Scenario) -> None:
    keeper, eve, ada = scenario.keeper, scenario.people["eve"].client, scenario.people["ada"]
    await done(keeper.client.patch(scenario.path("strict"), json={"level": 11}), 200)
    await keeper.assign(scenario.roles["strict"], ada)
    problem(await ada.client.get(f"{API}/users?email=x"), 403)
    problem(await eve.delete(scenario.member("strict", "ada")), 403, "forbidden")
    problem(await ada.client.get(f"{API}/users?email=x"), 403)


async def test_power_lost_after_admission_is_noticed_inside_the_transaction(
    scenario: Scenario, backstay: Backstay
) -> None:
    """A sender who loses power after admission is refused inside the transaction."""
    ada = Principal(user_id=UUID(scenario.people["ada"].id), is_superuser=True, level=1000)
    before = await scenario.state()
    with pytest.raises(Forbidden, match="needs the permission roles:update"):
        await Sender(backstay.bus.send, ada)(
            UpdateRole(role_id=UUID(scenario.roles["junior"]["id"]), name="mine")
        )
    assert await scenario.state() == before
