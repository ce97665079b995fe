"""Shows that messages, handlers and subscribers that could not work stop the boot."""

from collections.abc import AsyncIterator, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backstay.composition import compose
from backstay.core.bus import handles, prepares
from backstay.core.errors import Conflict, Refusal
from backstay.core.events import Event, subscribes
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Text
from backstay.core.messages import Command, Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.principal import Principal
from backstay.core.wiring import Code, Flaw
from backstay.features import STANDARD
from backstay.testing import settings_with
from backstay.web.routes import Routes
from tests.architecture.booting import Faults, feature

if TYPE_CHECKING:
    from decimal import Decimal


class RigView(View):
    id: int


class TallRig(RigView):
    metres: int


class GetRig(Query[RigView]):
    permission = PUBLIC


@handles(GetRig)
async def get_rig(query: GetRig) -> TallRig:
    raise NotImplementedError


class MoveRig(Command[None]):
    permission = PUBLIC


@handles(MoveRig)
async def move_rig(command: MoveRig) -> Refusal | None: ...


class FindRig(Query[RigView | None]):
    permission = PUBLIC


@handles(FindRig)
async def find_rig(query: FindRig) -> RigView:
    raise Conflict


def told(faults: list[Flaw]) -> list[Code]:
    return [fault.code for fault in faults]


def line_of(function: Callable[..., Any], below: int = 0) -> str:
    """The place (file:line) of a function of this module, relative to the root of the project."""
    return f"{Path(__file__).relative_to(Path.cwd())}:{function.__code__.co_firstlineno + below}"


def watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator whose wrapper is not async itself; what the wrapper returns is awaited."""

    @wraps(function)
    def call(*given: Any) -> Any:
        return function(*given)

    return call


class LiftRig(Command[None]):
    permission = PUBLIC


@handles(LiftRig)
@watched
async def lift_rig(command: LiftRig) -> None: ...


def test_handlers_may_narrow_the_result_return_refusals_and_be_decorated(tmp_path: Path) -> None:
    pairs = GetRig, get_rig, MoveRig, move_rig, FindRig, find_rig, LiftRig, lift_rig
    sound = feature(*pairs)
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    compose(settings, [*STANDARD, sound]).passwords.close()


class ListRigs(ListQuery[RigView]):
    permission = PUBLIC

    total: Text | None = None  # type: ignore[assignment]
    sort: Equals[str] | None = None  # type: ignore[assignment]


@handles(ListRigs)
async def list_rigs(query: ListRigs) -> Page[RigView] | CursorPage[RigView]:
    raise NotImplementedError


class ListMasts(ListQuery[RigView]):
    permission = PUBLIC

    per_page: int = 50
    title: Text | None = None
    title__contains: str | None = None


@handles(ListMasts)
async def list_masts(query: ListMasts) -> Page[RigView] | CursorPage[RigView]:
    raise NotImplementedError


def test_a_filter_may_not_be_named_like_a_list_parameter(faults: Faults) -> None:
    found = faults(feature(ListRigs, list_rigs, ListMasts, list_masts))
    assert told(found) == [Code.LIST_PARAMETER_TAKEN] * 3
    names = ("`sort`", "`title__contains`", "`total`")
    assert all(any(name in fault.problem for fault in found) for name in names)


with pytest.warns(UserWarning, match="shadows"):

    class Hide(Command[None]):
        permission = PUBLIC

        changes: str  # type: ignore[assignment]


@handles(Hide)
async def hide(command: Hide) -> None: ...


def test_a_field_may_not_be_named_like_a_message_method(faults: Faults) -> None:
    (fault,) = faults(feature(Hide, hide))
    assert fault.code is Code.MESSAGE_FIELD_RESERVED
    assert "`changes`" in fault.problem


class Vague(Command):  # type: ignore[type-arg]
    permission = PUBLIC


@handles(Vague)
async def vague(command: Vague) -> None: ...


def test_a_message_must_declare_its_result(faults: Faults) -> None:
    routes = Routes("/rigs", tag="rigs")
    routes.post("", Vague, location="/rigs/{id}")
    (fault,) = faults(feature(Vague, vague, routes=(routes,)))
    assert fault.code is Code.MESSAGE_NO_RESULT
    assert fault.where == line_of(vague, -4)


@handles(GetRig)  # type: ignore[arg-type]
async def other_result(query: GetRig) -> int:
    return 1


@handles(FindRig)  # type: ignore[arg-type]
async def half_a_result(query: FindRig) -> RigView | str:
    return ""


@handles(GetRig)
async def no_result(query: GetRig):  # type: ignore[no-untyped-def]  # noqa: ANN201
    pass


@pytest.mark.parametrize("handler", [other_result, half_a_result, no_result])
def test_a_handler_must_return_the_result_of_its_message(faults: Faults, handler: Any) -> None:
    (fault,) = faults(feature(handler.__handles__, handler))
    assert fault.code is Code.HANDLER_RESULT
    assert fault.where == line_of(handler)


@handles(MoveRig)  # type: ignore[arg-type]
def plain(command: MoveRig) -> None: ...


@handles(MoveRig)  # type: ignore[arg-type]
async def generator(command: MoveRig) -> AsyncIterator[None]:
    yield None


@prepares(MoveRig)  # type: ignore[arg-type]
def prepares_plainly(command: MoveRig) -> int:
    return 1


def test_handlers_and_preparers_are_async_functions(faults: Faults) -> None:
    assert told(faults(feature(MoveRig, plain))) == [Code.HANDLER_NOT_ASYNC]
    assert Code.HANDLER_NOT_ASYNC in told(faults(feature(MoveRig, generator)))
    found = faults(feature(MoveRig, move_rig, prepares_plainly))
    assert [(fault.code, fault.where) for fault in found] == [
        (Code.HANDLER_NOT_ASYNC, line_of(prepares_plainly))
    ]


@handles(MoveRig)
async def by_name_alone(command: MoveRig, *, principal: Principal) -> None: ...


@prepares(MoveRig)
async def prepares_what(command: MoveRig):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return 1


@handles(MoveRig)
async def unreadable(command: MoveRig, weight: "Decimal") -> None: ...


def test_parameters_and_results_must_have_readable_types(faults: Faults) -> None:
    assert told(faults(feature(MoveRig, by_name_alone))) == [Code.HANDLER_PARAMETER]
    assert told(faults(feature(MoveRig, move_rig, prepares_what))) == [Code.HANDLER_RESULT]
    assert told(faults(feature(MoveRig, unreadable))) == [Code.HANDLER_UNREADABLE]


@handles(MoveRig)
async def untyped(command: MoveRig, principal) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def test_a_parameter_without_a_type_is_reported_as_such(faults: Faults) -> None:
    (fault,) = faults(feature(MoveRig, untyped))
    assert fault.code is Code.HANDLER_PARAMETER
    assert fault.problem == "The parameter `principal` of untyped has no type."


async def agrees_later(principal: Principal, message: Any) -> bool:
    return False


def asks_for_more(principal: Principal, message: Any, grant: Any) -> bool:
    return False


class Guarded(Command[None]):
    permission = PUBLIC
    rules = (agrees_later, asks_for_more)  # type: ignore[assignment]


@handles(Guarded)
async def guarded(command: Guarded) -> None: ...


def test_a_rule_that_always_returns_true_is_refused(faults: Faults) -> None:
    later, more = faults(feature(Guarded, guarded))
    assert (later.code, more.code) == (Code.MESSAGE_RULE, Code.MESSAGE_RULE)
    assert "agrees_later" in later.problem
    assert "asks_for_more" in more.problem


class RigMoved(Event):
    aggregate = "rig_id"

    rig_id: int


@subscribes(MoveRig)  # type: ignore[type-var]
def on_a_command(event: Any) -> None: ...


@subscribes(RigMoved)  # type: ignore[arg-type]
async def on_rig_moved(event: RigMoved) -> None: ...


@subscribes(RigMoved)  # type: ignore[arg-type]
def on_two(event: RigMoved, principal: Principal) -> None: ...


def test_a_subscriber_takes_one_event_and_is_not_async(faults: Faults) -> None:
    assert told(faults(feature(on_a_command))) == [Code.SUBSCRIBER_NO_EVENT]
    assert told(faults(feature(on_rig_moved))) == [Code.SUBSCRIBER_SHAPE]
    assert told(faults(feature(on_two))) == [Code.SUBSCRIBER_SHAPE]
