"""Shows that authorising a signed-in user makes no query while the channel is complete."""

from time import monotonic
from uuid import UUID

import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.db import listener as listener_module
from backstay.features.auth.queries.principals import GetPrincipalOfUser
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.steps import API, ME, hears, needs

pytestmark = pytest.mark.anyio


class Time:
    """The monotonic clock of an application; its channel uses it from its next heartbeat on."""

    def __init__(self, backstay: Backstay) -> None:
        self._backstay = backstay
        self.now = monotonic()

    def __call__(self) -> float:
        return self.now

    async def passes(self, seconds: float) -> None:
        """Advance the time, and wait until the channel has proved that it is complete by then."""
        before = self.now
        self.now += seconds
        await hears(self._backstay, since=before)


@pytest.fixture
def time(backstay: Backstay, monkeypatch: pytest.MonkeyPatch) -> Time:
    now = Time(backstay)
    monkeypatch.setattr(listener_module, "monotonic", now)
    monkeypatch.setattr(listener_module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(backstay.principals, "_monotonic", now)
    return now


async def ask(person: Person) -> None:
    """Send a request that needs only the principal."""
    assert (await person.client.get(ME)).status_code == 200


async def test_requests_make_no_query_to_authorise(
    login: Login, backstay: Backstay, statements: list[str], time: Time
) -> None:
    person = await login()
    await time.passes(0.5)
    backstay.principals.forget_all()
    statements.clear()
    await ask(person)
    assert any("sessions" in statement for statement in statements)
    statements.clear()
    for _ in range(5):
        await time.passes(0.5)
        await ask(person)
    assert statements == []
    await backstay.channel.stop()
    time.now += 1.0
    await ask(person)
    assert any("sessions" in statement for statement in statements)


async def test_a_cached_principal_holds_no_password_hash(login: Login, backstay: Backstay) -> None:
    person = await login()
    principal = await backstay.system(GetPrincipalOfUser(user_id=UUID(person.id)))
    assert person.email in repr(principal)
    assert "argon2" not in repr(principal)


async def test_ten_roles_cost_no_more_than_one(
    login: Login, backstay: Backstay, statements: list[str], time: Time
) -> None:
    one, ten = await login(), await login()
    for level in range(1, 10):
        await grant(backstay, ten.id, "users:list", Scope.OWN, level=level)
    costs = []
    await time.passes(0.5)
    for person in (one, ten):
        backstay.principals.forget_all()
        statements.clear()
        assert (await person.client.get(ME)).status_code == 200
        costs.append(len(statements))
    assert len((await ten.client.get(ME)).json()["roles"]) == 10
    assert costs[0] == costs[1] > 0
    statements.clear()
    for _ in range(3):
        await time.passes(0.5)
        await ask(ten)
    assert statements == []


@needs("items")
async def test_writes_of_others_in_the_process_cost_no_query(
    login: Login, statements: list[str], time: Time
) -> None:
    person, writer = await login(), await login()
    await time.passes(0.5)
    for each in (person, writer):
        await ask(each)
    statements.clear()
    for _ in range(4):
        created = await writer.client.post(f"{API}/items", json={"title": "rope"})
        assert created.status_code == 201
        await time.passes(0.5)
        await ask(person)
    assert [statement for statement in statements if "sessions" in statement] == []
