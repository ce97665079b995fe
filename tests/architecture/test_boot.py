"""Shows that a wrongly wired application does not start, and reports every fault at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backstay.composition import compose
from backstay.core.bus import handles, prepares
from backstay.core.listing import CursorPage, ListQuery, Page, Text
from backstay.core.messages import Command, FromQuery, Query, View
from backstay.core.permissions import PUBLIC, SIGNED_IN, PermissionSpec
from backstay.core.ports import Clock
from backstay.core.principal import Grant
from backstay.core.wiring import Code
from backstay.db.session import Transaction
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.architecture.booting import Faults, feature

READ = PermissionSpec("rigs", "read")


class GetRig(Query[None]):
    permission = READ


@handles(GetRig)
async def get_rig(query: GetRig, grant: Grant) -> None: ...


class MoveRig(Command[None]):
    permission = PermissionSpec("rigs", "move")


@dataclass(frozen=True)
class Course:
    degrees: int


@prepares(MoveRig)
async def plot_course(command: MoveRig, clock: Clock) -> Course:
    return Course(clock().second)


@handles(MoveRig)
async def move_rig(command: MoveRig, course: Course, session: Transaction) -> None: ...


def test_a_sound_feature_boots(tmp_path: Path) -> None:
    sound = feature(GetRig, get_rig, MoveRig, plot_course, move_rig)
    compose(
        settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path), [*STANDARD, sound]
    ).passwords.close()


class NoPolicy(Command[None]):
    pass


@handles(NoPolicy)
async def no_policy(command: NoPolicy) -> None: ...


def test_a_message_without_a_policy_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(NoPolicy, no_policy))
    assert fault.code is Code.MESSAGE_NO_PERMISSION
    assert fault.problem == "NoPolicy does not declare `permission` in its own class body."


class Inherits(MoveRig):
    pass


@handles(Inherits)
async def inherits(command: Inherits) -> None: ...


def test_an_inherited_policy_does_not_count(faults: Faults) -> None:
    (fault,) = faults(feature(MoveRig, plot_course, move_rig, Inherits, inherits))
    assert fault.problem == "Inherits does not declare `permission` in its own class body."


def test_a_message_kept_in_another_module_needs_its_policy_too(faults: Faults) -> None:
    (fault,) = faults(feature(no_policy))
    assert fault.problem == "NoPolicy does not declare `permission` in its own class body."


@handles(GetRig)
async def get_rig_again(query: GetRig) -> None: ...


@prepares(MoveRig)
async def plot_again(command: MoveRig) -> Course:
    return Course(0)


def test_two_handlers_for_one_message_are_refused(faults: Faults) -> None:
    (fault,) = faults(feature(GetRig, get_rig, get_rig_again))
    assert fault.code is Code.HANDLER_TWICE
    assert fault.problem.startswith("Both ")
    assert "get_rig_again" in fault.problem
    assert fault.problem.endswith("handle GetRig.")


def test_two_preparers_for_one_message_are_refused(faults: Faults) -> None:
    (fault,) = faults(feature(MoveRig, plot_course, move_rig, plot_again))
    assert fault.problem.startswith("Both ")
    assert fault.problem.endswith("prepare MoveRig.")


def test_a_message_without_a_handler_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(GetRig))
    assert (fault.code, fault.problem) == (Code.MESSAGE_NO_HANDLER, "GetRig has no handler.")


@handles(GetRig)  # type: ignore[arg-type]
async def wrong_first(command: MoveRig) -> None: ...


@handles(GetRig)  # type: ignore[arg-type]
async def nothing_first() -> None: ...


@prepares(MoveRig)  # type: ignore[arg-type]
async def prepares_other(query: GetRig) -> Course:
    return Course(0)


@pytest.mark.parametrize("function", [wrong_first, nothing_first])
def test_a_handler_takes_its_message_first(faults: Faults, function: Callable[..., Any]) -> None:
    (fault,) = faults(feature(GetRig, function))
    assert fault.code is Code.HANDLER_MESSAGE
    assert fault.problem.endswith("must be the GetRig it is for.")


def test_a_preparer_takes_its_message_first(faults: Faults) -> None:
    (fault,) = faults(feature(MoveRig, prepares_other, move_rig))
    assert fault.problem.endswith("must be the MoveRig it is for.")


@handles(GetRig)
async def wants_a_course(query: GetRig, course: Course) -> None: ...


@handles(MoveRig)
async def wants_a_path(command: MoveRig, path: Path) -> None: ...


@prepares(MoveRig)
async def prepares_with_a_path(command: MoveRig, path: Path) -> Course:
    return Course(len(str(path)))


def test_a_parameter_without_a_provider_is_refused(faults: Faults) -> None:
    for broken, name in (
        (feature(GetRig, wants_a_course), "course"),
        (feature(MoveRig, wants_a_path), "path"),
        (feature(MoveRig, prepares_with_a_path, move_rig), "path"),
    ):
        (fault,) = faults(broken)
        assert fault.code is Code.HANDLER_PARAMETER
        assert f"Nobody provides the parameter `{name}`" in fault.problem


@handles(GetRig)
async def reads_in_a_transaction(query: GetRig, session: Transaction) -> None: ...


@prepares(MoveRig)
async def prepares_in_a_transaction(command: MoveRig, session: Transaction) -> Course:
    return Course(0)


def test_only_the_handler_of_a_command_has_a_transaction(faults: Faults) -> None:
    (fault,) = faults(feature(GetRig, reads_in_a_transaction))
    assert "Nobody provides the parameter `session`" in fault.problem
    told = "Only the handler of a command gets its Transaction. Read with a Reader."
    assert fault.hint == told
    (fault,) = faults(feature(MoveRig, prepares_in_a_transaction, move_rig))
    assert "Nobody provides the parameter `session`" in fault.problem
    assert fault.hint == told


class GetAnyRig(Query[None]):
    permission = SIGNED_IN


@handles(GetAnyRig)
async def get_any_rig(query: GetAnyRig, grant: Grant) -> None: ...


def test_a_grant_cannot_be_injected_without_a_permission(faults: Faults) -> None:
    (fault,) = faults(feature(GetAnyRig, get_any_rig))
    assert "Nobody provides the parameter `grant`" in fault.problem
    assert "permission" in fault.hint


@prepares(GetRig)  # type: ignore[type-var]
async def prepares_a_query(query: GetRig) -> Course:
    return Course(0)


def test_a_query_cannot_be_prepared(faults: Faults) -> None:
    (fault,) = faults(feature(GetRig, prepares_a_query, get_rig))
    assert fault.code is Code.HANDLER_PREPARES_QUERY
    assert "prepares_a_query" in fault.problem


class ReadRigElsewhere(Query[None]):
    permission = PermissionSpec("rigs", "read", description="Not what it says elsewhere")


@handles(ReadRigElsewhere)
async def read_rig_elsewhere(query: ReadRigElsewhere) -> None: ...


def test_a_permission_declared_twice_differently_is_refused(faults: Faults) -> None:
    both = feature(GetRig, get_rig), feature(ReadRigElsewhere, read_rig_elsewhere, name="other")
    (fault,) = faults(*both)
    assert fault.code is Code.PERMISSION_TWICE
    assert fault.problem.startswith("rigs:read is declared differently by GetRig ")


class RigView(View):
    id: int


class ListRigs(ListQuery[RigView]):
    permission = READ
    sortable = ("depth",)
    searchable = ("name",)

    name: Text | None = None


@handles(ListRigs)
async def list_rigs(query: ListRigs) -> Page[RigView] | CursorPage[RigView]:
    raise NotImplementedError


def test_sort_fields_of_a_list_must_be_declared(faults: Faults) -> None:
    (fault,) = faults(feature(ListRigs, list_rigs))
    assert fault.code is Code.LIST_UNDECLARED
    assert fault.problem == "ListRigs sorts by or searches `depth`, which is no filter of it."


class FindRig(Query[None]):
    permission = READ

    depth: FromQuery[int] | None = None


@handles(FindRig)
async def find_rig(query: FindRig) -> None: ...


def test_a_source_marker_inside_a_union_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(FindRig, find_rig))
    assert fault.code is Code.MESSAGE_SOURCE_LOST
    assert "FromQuery[int | None]" in fault.hint


def test_a_missing_requirement_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(requires=["masts"]))
    assert fault.code is Code.FEATURE_REQUIRES_UNKNOWN
    assert fault.problem == "The feature rigs requires masts, which is not listed."


def test_a_feature_listed_twice_is_refused(faults: Faults) -> None:
    twice = feature()
    assert "The feature rigs is listed twice." in {each.problem for each in faults(twice, twice)}
    (fault,) = faults(feature(), feature())
    assert fault.code is Code.FEATURE_TWICE
    assert fault.problem.startswith("Another feature is called rigs, at tests/architecture/")


class Said(Command[None]):
    permission = PUBLIC


def test_every_fault_is_reported_at_once(faults: Faults) -> None:
    told = faults(feature(NoPolicy, Said, GetRig, wrong_first, wants_a_course, requires=["masts"]))
    said = "\n".join(map(str, told))
    assert len(told) == 7
    assert all(word in said for word in ("permission", "no handler", "Both", "first", "masts"))
    assert "`course`" in said
