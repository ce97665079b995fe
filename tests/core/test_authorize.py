"""Shows who may send which message: policy, grant, field rules, then further rules."""

from typing import Any, ClassVar

import pytest

from backstay.core.bus import Bus, authorize
from backstay.core.clock import new_id
from backstay.core.context import Context, Origin, Sender
from backstay.core.errors import Forbidden, Unauthenticated
from backstay.core.messages import Command, FromQuery, Message, Rule
from backstay.core.permissions import PUBLIC, SIGNED_IN, SYSTEM_ONLY, PermissionSpec, Scope, Source
from backstay.core.principal import STRANGER, SYSTEM, UNLIMITED, Grant, Principal
from backstay.core.registry import Registry

pytestmark = pytest.mark.anyio


class Open(Command[None]):
    permission = PUBLIC


class Own(Command[None]):
    permission = SIGNED_IN


class Inner(Command[None]):
    permission = SYSTEM_ONLY


class Moor(Command[None]):
    permission = PermissionSpec("berths", "moor")

    name: str = "Sloop"
    draught: float = 1.2
    night: FromQuery[bool] = False


async def ask(message: Message[Any], principal: Principal) -> Grant:
    """The grant that the handler would be called with."""

    async def call(context: Context) -> Grant:
        return context.grant

    context = Context(message, principal, Origin(), Sender(Bus(Registry(())).send, principal))
    grant: Grant = await authorize(type(message), call)(context)
    return grant


def holding(grant: Grant, key: str = "berths:moor") -> Principal:
    return Principal(user_id=new_id(), grants={key: grant})


USER = Principal(user_id=new_id())
ADMIN = Principal(user_id=new_id(), is_superuser=True)


@pytest.mark.parametrize(
    ("message", "principal"),
    [
        (Open(), STRANGER),
        (Open(), USER),
        (Own(), USER),
        (Moor(), ADMIN),
        *((message, SYSTEM) for message in (Open(), Own(), Inner(), Moor())),
    ],
)
async def test_permitted_callers_reach_the_handler(
    message: Message[Any], principal: Principal
) -> None:
    assert await ask(message, principal) is UNLIMITED


@pytest.mark.parametrize("message", [Own(), Moor()])
async def test_strangers_must_sign_in(message: Message[Any]) -> None:
    with pytest.raises(Unauthenticated):
        await ask(message, STRANGER)


@pytest.mark.parametrize(
    ("message", "principal"),
    [(Inner(), STRANGER), (Inner(), ADMIN), (Moor(), USER), (Moor(), holding(UNLIMITED, "berths"))],
)
async def test_callers_without_permission_are_forbidden(
    message: Message[Any], principal: Principal
) -> None:
    with pytest.raises(Forbidden):
        await ask(message, principal)


async def test_the_handler_receives_the_grant() -> None:
    grant = Grant(Scope.OWN)
    assert await ask(Moor(), holding(grant)) is grant


async def test_refused_fields_are_listed_with_where_they_are() -> None:
    denied = {Source.JSON: frozenset({"draught"}), Source.QUERY: frozenset({"night"})}
    principal = holding(Grant(Scope.ANY, denied=denied))
    await ask(Moor(name="Yawl"), principal)
    with pytest.raises(Forbidden) as caught:
        await ask(Moor(name="Yawl", draught=2, night=True), principal)
    told = {(fault.field, fault.message) for fault in caught.value.errors}
    assert told == {("draught", "not allowed in the body"), ("night", "not allowed in the query")}


async def test_field_rules_ignore_defaults_that_were_not_sent() -> None:
    allowed = {Source.JSON: frozenset({"name"}), Source.QUERY: frozenset({"tide"})}
    principal = holding(Grant(Scope.ANY, allowed=allowed))
    await ask(Moor(name="Yawl"), principal)
    with pytest.raises(Forbidden) as caught:
        await ask(Moor(night=False), principal)
    assert [fault.field for fault in caught.value.errors] == ["night"]


async def test_field_rules_do_not_bind_superusers() -> None:
    denied = {Source.JSON: frozenset({"name"})}
    grants = {"berths:moor": Grant(Scope.OWN, denied=denied)}
    superuser = Principal(user_id=new_id(), is_superuser=True, grants=grants)
    assert await ask(Moor(name="Yawl"), superuser) is UNLIMITED


def is_shallow(principal: Principal, message: "MoorCarefully") -> bool:
    return message.draught < 2 or principal.level > 5


class MoorCarefully(Moor):
    permission = Moor.permission
    rules: ClassVar[tuple[Rule, ...]] = (is_shallow,)


class OpenCarefully(Open):
    permission = PUBLIC
    rules: ClassVar[tuple[Rule, ...]] = (lambda principal, _: principal.level > 5,)


async def test_further_rules_run_after_the_grant() -> None:
    deep = MoorCarefully(draught=3)
    await ask(MoorCarefully(), holding(UNLIMITED))
    with pytest.raises(Forbidden):
        await ask(deep, holding(UNLIMITED))
    with pytest.raises(Forbidden, match="needs the permission"):
        await ask(deep, USER)
    await ask(deep, Principal(user_id=new_id(), level=6, grants={"berths:moor": UNLIMITED}))


async def test_public_messages_have_rules_too() -> None:
    with pytest.raises(Forbidden):
        await ask(OpenCarefully(), STRANGER)
    await ask(OpenCarefully(), Principal(user_id=new_id(), level=6))


async def has_berth(principal: Principal, message: Any) -> bool:
    return False


class OpenLater(Open):
    permission = PUBLIC
    rules = (lambda principal, _: has_berth(principal, None),)  # type: ignore[assignment, return-value]


@pytest.mark.filterwarnings("ignore:coroutine 'has_berth' was never awaited")
async def test_an_async_rule_that_was_not_awaited_refuses() -> None:
    """That a rule is asynchronous is only seen when it is called."""
    with pytest.raises(Forbidden):
        await ask(OpenLater(), USER)


async def test_outside_a_transaction_there_is_no_unit_of_work() -> None:
    context = Context(Own(), USER, Origin(), Sender(Bus(Registry(())).send, USER))
    with pytest.raises(LookupError, match="no transaction is open"):
        _ = context.unit
