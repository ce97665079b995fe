"""Shows that whoever is signed in costs no query, as long as the channel is complete."""

import asyncio
import time
from uuid import UUID

import pytest

from backstay.composition import Backstay
from backstay.core.messages import Scope
from backstay.core.worker import GetPrincipalOfUser
from tests.conftest import Login, Person
from tests.features.granting import grant
from tests.features.steps import API, ME, needs

pytestmark = pytest.mark.anyio


async def ask_for(seconds: float, person: Person) -> None:
    """Ask for something that needs nothing but the principal, again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert (await person.client.get(ME)).status_code == 200
        await asyncio.sleep(0.02)


async def test_requests_make_no_query_to_authorise(
    login: Login, backstay: Backstay, statements: list[str]
) -> None:
    person = await login()
    backstay.principals.forget_all()
    statements.clear()
    await ask_for(1.0, person)
    assert any("sessions" in statement for statement in statements)
    statements.clear()
    await ask_for(1.5, person)
    assert statements == []


async def test_what_is_kept_of_a_person_holds_no_hash_of_the_password(
    login: Login, backstay: Backstay
) -> None:
    person = await login()
    principal = await backstay.system(GetPrincipalOfUser(user_id=UUID(person.id)))
    assert person.email in repr(principal)
    assert "argon2" not in repr(principal)


async def test_fifty_roles_cost_no_more_than_one(
    login: Login, backstay: Backstay, statements: list[str]
) -> None:
    one, fifty = await login(), await login()
    for level in range(1, 50):
        await grant(backstay, fifty.id, "users:list", Scope.OWN, level=level)
    costs = []
    for person in (one, fifty):
        backstay.principals.forget_all()
        statements.clear()
        assert (await person.client.get(ME)).status_code == 200
        costs.append(len(statements))
    assert len((await fifty.client.get(ME)).json()["roles"]) == 50
    assert costs[0] == costs[1] > 0
    statements.clear()
    await ask_for(1.0, fifty)
    assert statements == []


@needs("items")
async def test_what_others_write_through_the_same_process_costs_nobody_a_query(
    login: Login, statements: list[str]
) -> None:
    person, writer = await login(), await login()
    tries = [await _disturb(person, writer, statements) for _ in range(3)]
    assert [] in tries  # a machine that is held up proves nothing in time, and asks again


async def _disturb(person: Person, writer: Person, statements: list[str]) -> list[str]:
    """The questions about somebody's session that were asked while somebody else wrote."""
    await ask_for(1.0, person)
    statements.clear()
    for _ in range(4):
        created = await writer.client.post(f"{API}/items", json={"title": "rope"})
        assert created.status_code == 201
        await ask_for(0.4, person)
    return [statement for statement in statements if "sessions" in statement]
