"""Shows that support staff cannot change users with more power than their own."""

from uuid import UUID, uuid4

import httpx
import pytest

from backstay.composition import Backstay
from backstay.core.context import Context, Origin, Sender, UnitOfWork
from backstay.core.errors import Forbidden
from backstay.core.permissions import Scope, Source
from backstay.core.principal import Principal
from backstay.core.representation import Preconditions
from backstay.db.session import Transaction
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.access.schemas import Effect
from backstay.features.users.commands.administration import SetPassword, set_password
from backstay.features.users.schemas import NewPassword
from backstay.testing import PASSWORD, Login, Person
from tests.features.granting import grant
from tests.features.steps import ME, OTHER_PASSWORD, is_signed_in, sign_in
from tests.features.users.administering import TAKEOVERS, USERS, WAYS, act, make_supporter
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

HARMLESS = sorted(WAYS.keys() - TAKEOVERS)


async def assert_untouched(client: httpx.AsyncClient, target: Person) -> None:
    """Assert that the session, password and e-mail address are unchanged."""
    assert await is_signed_in(client, target.tokens["access_token"])
    assert (await sign_in(client, target.email, password=PASSWORD)).status_code == 200
    problem(await sign_in(client, target.email, password=OTHER_PASSWORD), 401)


async def test_only_a_superuser_acts_on_a_superuser(
    login: Login, backstay: Backstay, client: httpx.AsyncClient
) -> None:
    admin = await login("admin")
    support = await make_supporter(backstay, await login(), level=2000)
    for way in WAYS:
        problem(await act(support, way, admin.id), 403, "forbidden")
        await assert_untouched(client, admin)


@pytest.mark.parametrize("way", WAYS)
async def test_a_superuser_acts_on_a_superuser(login: Login, backstay: Backstay, way: str) -> None:
    admin, deputy = await login("admin"), await login()
    await backstay.system(JoinRole(user_id=UUID(deputy.id), role="admin"))
    backstay.principals.forget_all()
    assert (await act(admin, way, deputy.id)).status_code in {200, 204}


async def test_a_deleted_superuser_still_counts_as_superuser(
    login: Login, backstay: Backstay
) -> None:
    admin, deputy = await login("admin"), await login()
    await backstay.system(JoinRole(user_id=UUID(deputy.id), role="admin"))
    support = await make_supporter(backstay, await login(), level=2000)
    assert (await act(admin, "delete", deputy.id)).status_code == 204
    for way in ("restore", "erase", "cascade"):
        problem(await act(support, way, deputy.id), 403, "forbidden")


async def test_nobody_acts_on_a_user_of_a_higher_level(
    login: Login, backstay: Backstay, client: httpx.AsyncClient
) -> None:
    support = await make_supporter(backstay, await login(), level=10)
    chief = await login()
    await grant(backstay, chief.id, "users:list", level=11)
    for way in WAYS:
        problem(await act(support, way, chief.id), 403, "forbidden")
        await assert_untouched(client, chief)


@pytest.mark.parametrize("way", WAYS)
async def test_support_does_everything_to_those_below(
    login: Login, backstay: Backstay, way: str
) -> None:
    support, person = await make_supporter(backstay, await login()), await login()
    assert (await act(support, way, person.id)).status_code in {200, 204}


@pytest.mark.parametrize("way", sorted(TAKEOVERS))
async def test_nobody_takes_over_a_user_with_more_permissions(
    login: Login, backstay: Backstay, client: httpx.AsyncClient, way: str
) -> None:
    support = await make_supporter(backstay, await login())
    auditor = await login()
    await grant(backstay, auditor.id, "items:list", Scope.ANY, level=5)
    body = problem(await act(support, way, auditor.id), 403, "forbidden")
    assert body["detail"] == "This person may do what you may not."
    await assert_untouched(client, auditor)
    assert (await act(support, "block", auditor.id)).status_code == 200
    assert (await act(support, "unblock", auditor.id)).status_code == 200
    await grant(backstay, support.id, "items:list", Scope.ANY, level=5)
    assert (await act(support, way, auditor.id)).status_code == 200


@pytest.mark.parametrize("way", sorted(TAKEOVERS))
async def test_a_grant_under_field_rules_does_not_cover_one_without(
    login: Login, backstay: Backstay, client: httpx.AsyncClient, way: str
) -> None:
    support, other = await make_supporter(backstay, await login()), await login()
    deny = ((Source.QUERY, "title", Effect.DENY),)
    await grant(backstay, support.id, "items:list", Scope.ANY, rules=deny)
    problem(await act(support, way, other.id), 403, "forbidden")
    await assert_untouched(client, other)
    await grant(backstay, other.id, "items:list", Scope.ANY, rules=deny, level=5)
    assert (await act(support, way, other.id)).status_code == 200


async def test_own_scope_reaches_nobody_else(
    login: Login, backstay: Backstay, client: httpx.AsyncClient
) -> None:
    person = await make_supporter(backstay, await login(), Scope.OWN)
    other = await login()
    for way in WAYS:
        for user_id in (other.id, str(uuid4())):
            problem(await act(person, way, user_id), 403, "forbidden")
        await assert_untouched(client, other)


async def test_under_own_scope_only_ones_name_and_sessions_can_change(
    login: Login, backstay: Backstay, client: httpx.AsyncClient
) -> None:
    person = await make_supporter(backstay, await login(), Scope.OWN)
    assert (await act(person, "rename", person.id)).json()["name"] == "Renamed"
    own = {"list sessions", "list devices"}
    for way in sorted(own):
        assert (await act(person, way, person.id)).status_code == 200
    for way in sorted(WAYS.keys() - own - {"rename", "sign out"}):
        problem(await act(person, way, person.id), 403, "users.own_account")
    assert (await act(person, "sign out", person.id)).status_code == 204
    assert not await is_signed_in(client, person.tokens["access_token"])


async def test_a_field_rule_keeps_support_from_addresses(login: Login, backstay: Backstay) -> None:
    support, person = await login(), await login()
    deny = ((Source.JSON, "email", Effect.DENY),)
    await grant(backstay, support.id, "users:update", rules=deny)
    problem(await act(support, "readdress", person.id), 403, "forbidden")
    assert (await act(support, "rename", person.id)).status_code == 200


@pytest.mark.parametrize("way", HARMLESS)
async def test_a_just_blocked_user_can_do_nothing_more(
    login: Login, backstay: Backstay, way: str
) -> None:
    admin, person = await login("admin"), await login()
    support = await make_supporter(backstay, await login())
    assert (await support.client.get(ME)).status_code == 200
    assert (await act(admin, "block", support.id)).status_code == 200
    problem(await act(support, way, person.id), 401, "auth_error")
    assert (await admin.client.get(f"{USERS}/{person.id}")).json()["name"] is None


async def test_a_user_promoted_during_hashing_is_not_taken_over(
    login: Login, backstay: Backstay
) -> None:
    target, person = await login("admin"), await make_supporter(backstay, await login())
    support = Principal(user_id=UUID(person.id), level=10)
    command = SetPassword(id=UUID(target.id), new_password=OTHER_PASSWORD)
    hashed, none = NewPassword("a hash made before"), Preconditions()
    async with Transaction(backstay.database.writer) as session:
        context = Context(command, support, Origin(), Sender(backstay.bus.send, support))
        context.unit_of_work = UnitOfWork(session)
        send = context.sender.inside(context)
        with pytest.raises(Forbidden):
            await set_password(command, session, none, hashed, send)
