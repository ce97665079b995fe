"""Shows that no change of a role gives its members access that the sender does not hold."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from backstay.composition import Backstay
from backstay.features.access.queries.membership import ListRoleSets
from backstay.testing import Login, Person
from tests.features.access.steps import RoleKeeper, done, role_path
from tests.features.steps import API
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

LIST, EMAIL = "users:list", ("QUERY", "email")
MANAGES = ("roles:update", "roles:delete", "permissions:grant", "permissions:revoke")
BY_EMAIL = f"{API}/users?email=x"


class Scenario:
    """Eve manages roles; Ada has a role with full access, and a higher one that restricts it."""

    def __init__(self, keeper: RoleKeeper, eve: Person, ada: Person) -> None:
        self.keeper, self.eve, self.ada = keeper, eve, ada
        self.free: Any = None
        self.strict: Any = None
        self.manager: Any = None

    async def prepare(self) -> None:
        keeper = self.keeper
        self.manager = await keeper.role(*MANAGES, level=50)
        await keeper.grant(self.manager, LIST, rules=[(*EMAIL, "DENY")])
        await keeper.assign(self.manager, self.eve)
        self.free = await keeper.role(LIST, level=10)
        self.strict = await keeper.role(level=20)
        await keeper.grant(self.strict, LIST, rules=[(*EMAIL, "DENY")])
        for role in (self.free, self.strict):
            await keeper.assign(role, self.ada)

    def openings(self) -> Sequence[tuple[str, str, Any]]:
        """Every request that would lift the restriction; the last deletes the role for good."""
        path = role_path(self.strict)
        return (
            ("PATCH", path, {"level": 5}),
            ("PATCH", role_path(self.free), {"level": 30}),
            ("DELETE", self.keeper.path_of(self.strict, LIST, EMAIL), None),
            ("PATCH", self.keeper.path_of(self.strict, LIST, EMAIL), {"effect": "ALLOW"}),
            ("DELETE", self.keeper.path_of(self.strict, LIST), None),
            ("DELETE", path, None),
            ("DELETE", f"{path}?hard=true", None),
        )


@pytest.fixture
async def scenario(keeper: RoleKeeper, eve: Person, ada: Person) -> Scenario:
    scenario = Scenario(keeper, eve, ada)
    await scenario.prepare()
    return scenario


async def test_a_role_change_may_not_widen_a_members_access(scenario: Scenario) -> None:
    problem(await scenario.ada.client.get(BY_EMAIL), 403)
    for method, path, body in scenario.openings():
        answer = await scenario.eve.client.request(method, path, json=body)
        assert f"less of the permission {LIST}" in problem(answer, 403, "forbidden")["detail"]
    problem(await scenario.ada.client.get(BY_EMAIL), 403)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("way", range(7))
async def test_a_role_change_may_give_what_the_sender_holds(scenario: Scenario, way: int) -> None:
    keeper = scenario.keeper
    await done(keeper.client.delete(keeper.path_of(scenario.manager, LIST, EMAIL)), 204)
    method, path, body = scenario.openings()[way]
    assert (await scenario.eve.client.request(method, path, json=body)).is_success
    assert (await scenario.ada.client.get(BY_EMAIL)).status_code == 200


async def test_a_restricting_role_without_affected_members_may_be_removed(
    scenario: Scenario,
) -> None:
    """A member without a lower role gains nothing when the restricting role is removed."""
    keeper = scenario.keeper
    await done(keeper.client.delete(f"{role_path(scenario.free)}/users/{scenario.ada.id}"), 204)
    await done(scenario.eve.client.delete(role_path(scenario.strict)), 204)
    problem(await scenario.ada.client.get(BY_EMAIL), 403)


async def test_a_member_with_a_deleted_role_gains_nothing_by_it(scenario: Scenario) -> None:
    await done(scenario.keeper.client.delete(role_path(scenario.free)), 204)
    await done(scenario.eve.client.delete(scenario.keeper.path_of(scenario.strict, LIST)), 204)


async def test_a_superuser_may_widen_any_access(scenario: Scenario) -> None:
    await done(scenario.keeper.client.delete(role_path(scenario.strict)), 204)
    assert (await scenario.ada.client.get(BY_EMAIL)).status_code == 200


async def test_the_cost_does_not_grow_with_the_members(
    scenario: Scenario, login: Login, backstay: Backstay
) -> None:
    strict = UUID(scenario.strict["id"])
    (kind,) = await backstay.system(ListRoleSets(role_id=strict))
    assert {UUID(role["id"]) for role in (scenario.free, scenario.strict)} < kind
    before = await _statements_of_a_refusal(scenario, backstay)
    for _ in range(5):
        person = await login()
        for role in (scenario.strict, scenario.free):
            await scenario.keeper.assign(role, person)
    assert await backstay.system(ListRoleSets(role_id=strict)) == {kind}
    assert await _statements_of_a_refusal(scenario, backstay) == before
    await scenario.keeper.assign(scenario.strict, await login())
    assert len(await backstay.system(ListRoleSets(role_id=strict))) == 2
    assert await _statements_of_a_refusal(scenario, backstay) == before


async def _statements_of_a_refusal(scenario: Scenario, backstay: Backstay) -> int:
    path = scenario.keeper.path_of(scenario.strict, LIST)
    problem(await scenario.eve.client.delete(path), 403, "forbidden")
    await backstay.trail.settle()
    asked = 0

    def count(*_: Any) -> None:
        nonlocal asked
        asked += 1

    engine = backstay.database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    problem(await scenario.eve.client.delete(path), 403, "forbidden")
    await backstay.trail.settle()
    event.remove(engine, "before_cursor_execute", count)
    assert asked
    return asked
