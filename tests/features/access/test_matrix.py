"""Shows which rows and fields each grant reaches: level, scope, field rules of body and query."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, update

from backstay.composition import Backstay
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command, FromPath, FromQuery, optional
from backstay.core.permissions import PermissionSpec, Scope, Source
from backstay.core.principal import Grant, Principal
from backstay.db.queries import one_or_404, visible
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import SyncAccess, declared_permissions
from backstay.features.access.schemas import Effect
from backstay.features.users.model import User
from backstay.testing import Login, Person
from backstay.web.routes import Routes
from tests.features.access.steps import RoleKeeper, Rule, permissions_by_key
from tests.features.granting import Rule as FieldRule
from tests.features.granting import grant
from tests.features.steps import API, Trail, execute, said
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

KEY = "places:update"


class Address(BaseModel):
    """Where somebody lives."""

    model_config = ConfigDict(extra="forbid")

    city: str = ""
    street: str = ""


class MovePerson(Command[None]):
    """Rename a user after a place; under `OWN`, a user's own row is the user itself."""

    permission = PermissionSpec("places", "update", description="Move people")

    id: FromPath[UUID]
    loud: FromQuery[bool] = False
    slow: FromQuery[bool] = False
    name: str = optional()
    address: Address = optional()


@handles(MovePerson)
async def move_person(
    command: MovePerson, session: Transaction, principal: Principal, grant: Grant
) -> None:
    query = select(User).where(User.id == command.id, visible(User.id, principal, grant))
    person = await one_or_404(session, query, lock=True)
    person.name = "moved"


routes = Routes("/places", tag="places")
routes.patch("/{id}", MovePerson, status=204)


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    here = sys.modules[__name__]
    requires = ("access", "users")
    return [*features, Feature("places", modules=(here,), routes=(routes,), requires=requires)]


@pytest.fixture
async def keeper(login: Login, backstay: Backstay) -> RoleKeeper:
    await backstay.system(SyncAccess(permissions=declared_permissions(backstay.features)))
    admin = await login("admin")
    return RoleKeeper(admin, await permissions_by_key(admin))


@dataclass(frozen=True)
class Held:
    """A role: its level, the scope of its grant, and the grant's rules."""

    level: int
    scope: str
    rules: tuple[Rule, ...] = ()


def rules(effect: str, *names: str) -> tuple[Rule, ...]:
    """Rules on fields; query fields are written with a leading question mark."""
    return tuple(
        ("QUERY" if name.startswith("?") else "JSON", name.removeprefix("?"), effect)
        for name in names
    )


def deny(*names: str) -> tuple[Rule, ...]:
    return rules("DENY", *names)


def allow(*names: str) -> tuple[Rule, ...]:
    return rules("ALLOW", *names)


NAME: Any = {"name": "x"}
CITY: Any = {"address": {"city": "x"}}
STREET: Any = {"address": {"street": "x"}}
BOTH: Any = {"name": "x", "address": {"city": "x", "street": "x"}}

CASES: dict[str, tuple[Iterable[Held], str, str, Any, object]] = {
    "no role": ((), "own", "", NAME, 403),
    "own reaches own": ((Held(5, "OWN"),), "own", "", BOTH, 204),
    "own does not reach another's": ((Held(5, "OWN"),), "other", "", BOTH, 404),
    "any reaches own": ((Held(5, "ANY"),), "own", "", BOTH, 204),
    "any reaches another's": ((Held(5, "ANY"),), "other", "", BOTH, 204),
    "the higher role widens": ((Held(6, "ANY"), Held(5, "OWN")), "other", "", NAME, 204),
    "the higher role narrows": ((Held(6, "OWN"), Held(5, "ANY")), "other", "", NAME, 404),
    "at equal level any wins": ((Held(5, "OWN"), Held(5, "ANY")), "other", "", NAME, 204),
    "denied in the body": ((Held(5, "OWN", deny("name")),), "own", "", NAME, {"name"}),
    "what is not denied": ((Held(5, "OWN", deny("name")),), "own", "", CITY, 204),
    "allowed in the body": ((Held(5, "OWN", allow("name")),), "own", "", NAME, 204),
    "what is not allowed": (
        (Held(5, "OWN", allow("name")),), "own", "", BOTH, {"address.city", "address.street"},
    ),
    "denied in the query": ((Held(5, "OWN", deny("?loud")),), "own", "?loud=1", NAME, {"loud"}),
    "another query": ((Held(5, "OWN", deny("?loud")),), "own", "?slow=1", NAME, 204),
    "allowed in the query": ((Held(5, "OWN", allow("?loud")),), "own", "?loud=1", NAME, 204),
    "not allowed in the query": (
        (Held(5, "OWN", allow("?loud")),), "own", "?loud=1&slow=1", NAME, {"slow"},
    ),
    "a rule of the query does not bind the body": (
        (Held(5, "OWN", allow("?loud")),), "own", "", BOTH, 204,
    ),
    "both sources": (
        (Held(5, "OWN", deny("?loud", "name")),), "own", "?loud=1", BOTH, {"loud", "name"},
    ),
    "a nested field is denied": (
        (Held(5, "OWN", deny("address.city")),), "own", "", BOTH, {"address.city"},
    ),
    "its neighbour is not": ((Held(5, "OWN", deny("address.city")),), "own", "", STREET, 204),
    "a nested field is allowed": ((Held(5, "OWN", allow("address.city")),), "own", "", CITY, 204),
    "its neighbour is refused": (
        (Held(5, "OWN", allow("address.city")),), "own", "", STREET, {"address.street"},
    ),
    "the whole denies its parts": (
        (Held(5, "OWN", deny("address")),), "own", "", CITY, {"address.city"},
    ),
    "an empty whole names its parts": (
        (Held(5, "OWN", deny("address.city")),), "own", "", {"address": {}}, {"address"},
    ),
    "denial beats permission at equal level": (
        (Held(5, "OWN", allow("name")), Held(5, "OWN", deny("name"))), "own", "", NAME, {"name"},
    ),
    "rules of a lower role do not bind": (
        (Held(6, "OWN"), Held(5, "OWN", deny("name"))), "own", "", NAME, 204,
    ),
    "rules of the higher role do": (
        (Held(6, "OWN", deny("name")), Held(5, "ANY")), "own", "", NAME, {"name"},
    ),
}  # fmt: skip


async def moved(backstay: Backstay) -> int:
    """The number of changed rows."""
    statement = select(User.id).where(User.name == "moved")
    return len((await execute(backstay, statement)).all())


async def people(backstay: Backstay) -> Sequence[Any]:
    """Every column of every row that the message could reach."""
    return (await execute(backstay, select(User.__table__).order_by(User.id))).all()


@pytest.mark.parametrize("case", CASES)
async def test_exactly_the_granted_rows_and_fields_are_reachable(
    keeper: RoleKeeper, ada: Person, backstay: Backstay, trail: Trail, case: str
) -> None:
    roles, whose, query, body, expected = CASES[case]
    for held in roles:
        role = await keeper.role(level=held.level)
        await keeper.grant(role, KEY, held.scope, held.rules)
        await keeper.assign(role, ada)
    before = await people(backstay)
    await trail()
    row = ada.id if whose == "own" else keeper.admin.id
    answer = await ada.client.patch(f"{API}/places/{row}{query}", json=body)
    if expected == 204:
        assert (answer.status_code, await moved(backstay)) == (204, 1), answer.text
        assert said(await trail()) == [("MovePerson", "ok", None)]
        return
    if isinstance(expected, int):
        code = problem(answer, expected)["code"]
    else:
        refused = problem(answer, 403, code := "forbidden")
        assert set(fields_of(refused)) == expected
    assert await people(backstay) == before
    assert said(await trail()) == [("MovePerson", "refused", code)]


def products() -> Iterator[tuple[Scope, tuple[FieldRule, ...], bool, int]]:
    """Scope, rules and whether it is about the own row, with the status; ``loud`` is named."""
    for scope, source, own in product(Scope, (Source.JSON, Source.QUERY), (True, False)):
        named, other = ("name", "address") if source is Source.JSON else ("loud", "slow")
        reached = 204 if own or scope is Scope.ANY else 404
        yield scope, (), own, reached
        yield scope, ((source, named, Effect.ALLOW),), own, reached
        yield scope, ((source, other, Effect.DENY),), own, reached
        yield scope, ((source, named, Effect.DENY),), own, 403
        yield scope, ((source, other, Effect.ALLOW),), own, 403


async def test_every_combination_of_scope_and_rule_is_enforced(
    keeper: RoleKeeper, ada: Person, backstay: Backstay, trail: Trail
) -> None:
    """Each role has a higher level than all before it, so that it alone decides."""
    rows = {True: ada.id, False: keeper.admin.id}
    outcomes = {204: ("ok", None), 403: ("refused", "forbidden"), 404: ("refused", "not_found")}
    for level, (scope, field_rules, own, status) in enumerate(products(), start=1):
        await grant(backstay, ada.id, KEY, scope, rules=field_rules, level=level)
        await execute(backstay, update(User).values(name=None))
        before = await people(backstay)
        await trail()
        answer = await ada.client.patch(f"{API}/places/{rows[own]}?loud=1", json=NAME)
        assert answer.status_code == status, (scope, field_rules, own, answer.text)
        assert said(await trail()) == [("MovePerson", *outcomes[status])]
        assert (await people(backstay) == before) is (status != 204)
    assert level == 40


async def test_without_the_higher_role_the_lower_one_counts(
    keeper: RoleKeeper, ada: Person, backstay: Backstay
) -> None:
    low, high = await keeper.role(level=5), await keeper.role(level=6)
    await keeper.grant(low, KEY, "ANY")
    await keeper.grant(high, KEY, "OWN", deny("name"))
    for role in (low, high):
        await keeper.assign(role, ada)
    path = f"{API}/places/{keeper.admin.id}"
    problem(await ada.client.patch(path, json=NAME), 403)
    problem(await ada.client.patch(path, json=CITY), 404)
    assert (await keeper.client.delete(f"{API}/rbac/roles/{high['id']}")).status_code == 204
    assert (await ada.client.patch(path, json=NAME)).status_code == 204
    assert await moved(backstay) == 1


async def test_a_superuser_role_passes_whatever_else_restricts(
    keeper: RoleKeeper, ada: Person, backstay: Backstay
) -> None:
    strict, chief = await keeper.role(level=9), await keeper.role(level=0, is_superuser=True)
    await keeper.grant(strict, KEY, "OWN", deny("name"))
    for role in (strict, chief):
        await keeper.assign(role, ada)
    answer = await ada.client.patch(f"{API}/places/{keeper.admin.id}", json=BOTH)
    assert (answer.status_code, await moved(backstay)) == (204, 1)
