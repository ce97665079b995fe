"""Shows that resources and targets that could not work stop the boot."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest

from backstay.composition import compose
from backstay.core.bus import handles, prepares
from backstay.core.messages import Command, FromPath, Query
from backstay.core.permissions import PUBLIC, SIGNED_IN, SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.targets import AnyTarget, By, Target
from backstay.core.wiring import Code
from backstay.features import STANDARD
from backstay.settings.fields import SettingsGroup
from backstay.settings.groups.db import DbSettings
from backstay.testing import settings_with
from tests.architecture.booting import Faults, feature
from tests.architecture.rigs import RIGS, Rig, RigDetail


class MoveRig(Command[None]):
    permission = RIGS.update
    id: FromPath[UUID]
    mast_id: UUID
    depth: int = 0
    hard: bool = False


@handles(MoveRig)
async def move_rig(command: MoveRig, rig: Target[Rig], shown: Target[RigDetail]) -> None: ...


class SystemMovesRig(Command[None]):
    permission = SYSTEM_ONLY
    rig_id: UUID


@handles(SystemMovesRig)
async def system_moves_rig(command: SystemMovesRig, rig: Target[Rig]) -> None: ...


class GetRig(Query[RigDetail]):
    permission = RIGS.read
    id: FromPath[UUID]


@handles(GetRig)
async def get_rig(query: GetRig, rig: Target[RigDetail]) -> RigDetail:
    return rig


def test_sound_targets_boot(tmp_path: Path) -> None:
    members = (RIGS, MoveRig, move_rig, SystemMovesRig, system_moves_rig, GetRig, get_rig)
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    backstay = compose(settings, [*STANDARD, feature(*members)])
    assert MoveRig in backstay.conditional
    assert GetRig not in backstay.conditional
    backstay.passwords.close()


def test_the_usual_permissions_are_described(tmp_path: Path) -> None:
    assert RIGS.update == PermissionSpec("rigs", "update", description="Change rigs")
    assert RIGS.may("set_depth").description == "Set depth rigs"
    pay = RIGS.may("move", "far", description="Move far", default_scope=Scope.OWN)
    assert (pay.key, pay.default_scope) == ("rigs:move:far", Scope.OWN)


def test_a_row_without_a_resource_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(SystemMovesRig, system_moves_rig))
    assert fault.code is Code.TARGET_UNKNOWN
    assert "Nobody finds the Rig that is the parameter `rig`" in fault.problem


class Survey(Command[None]):
    permission = RIGS.update
    rig_id: FromPath[UUID]
    mast_id: FromPath[UUID]


@handles(Survey)
async def several_ids(command: Survey, rig: Target[Rig]) -> None: ...


class Drill(Command[None]):
    permission = RIGS.update
    name: FromPath[str]


@handles(Drill)
async def no_id(command: Drill, rig: Target[Rig]) -> None: ...


@handles(MoveRig)
async def no_such_field(command: MoveRig, rig: Annotated[Rig, By("rig_id")]) -> None: ...


@handles(MoveRig)
async def wrong_type(command: MoveRig, rig: Annotated[Rig, By("depth")]) -> None: ...


@handles(MoveRig)
async def no_such_column(command: MoveRig, rig: Annotated[Rig, By("id", "hard")]) -> None: ...


@pytest.mark.parametrize(
    ("message", "function", "told"),
    [
        (Survey, several_ids, "several fields that may be its id (`rig_id`, `mast_id`)"),
        (Drill, no_id, "which has no id of it"),
        (MoveRig, no_such_field, "has no field `rig_id`"),
        (MoveRig, wrong_type, "cannot be the `id` of Rig"),
        (MoveRig, no_such_column, "`hard` of MoveRig has the name of no column"),
    ],
)
def test_the_id_of_a_row_must_be_clear(
    faults: Faults, message: Any, function: Callable[..., Any], told: str
) -> None:
    (fault,) = faults(feature(RIGS, message, function))
    assert fault.code is Code.TARGET_ID
    assert told in fault.problem
    assert fault.where.startswith("tests/architecture/test_boot_targets.py:")


@handles(Survey)
async def named(command: Survey, rig: Annotated[Rig, By("mast_id")]) -> None: ...


def test_a_parameter_may_name_one_of_several_ids(tmp_path: Path) -> None:
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    compose(settings, [*STANDARD, feature(RIGS, Survey, named)]).passwords.close()


class Shout(Command[None]):
    permission = SIGNED_IN
    id: FromPath[UUID]


@handles(Shout)
async def shout(command: Shout, rig: Target[Rig]) -> None: ...


class Peek(Query[None]):
    permission = PUBLIC
    id: FromPath[UUID]


@handles(Peek)
async def peek(query: Peek, rig: Target[RigDetail]) -> None: ...


@pytest.mark.parametrize(("message", "function"), [(Shout, shout), (Peek, peek)])
def test_a_message_without_a_permission_has_no_target(
    faults: Faults, message: Any, function: Callable[..., Any]
) -> None:
    (fault,) = faults(feature(RIGS, message, function))
    assert fault.code is Code.TARGET_NO_PERMISSION
    assert "of anybody" in fault.problem


@handles(GetRig)
async def locks(query: GetRig, rig: Target[Rig]) -> RigDetail:
    raise NotImplementedError


@prepares(MoveRig)
async def prepares_rig(command: MoveRig, rig: Target[Rig]) -> None: ...


def test_only_handlers_of_commands_lock_rows(faults: Faults) -> None:
    for members in ((GetRig, locks), (MoveRig, move_rig, prepares_rig)):
        (fault,) = faults(feature(RIGS, *members))
        assert fault.code is Code.TARGET_NOT_LOCKED
        assert "Target[RigDetail]" in fault.hint


@handles(MoveRig)
async def plain(command: MoveRig, rig: Rig) -> None: ...


def test_a_row_without_a_mark_is_no_parameter(faults: Faults) -> None:
    (fault,) = faults(feature(RIGS, MoveRig, plain))
    assert (fault.code, fault.hint) == (Code.HANDLER_PARAMETER, "Write `rig: Target[Rig]`.")


@handles(GetRig)
async def plain_in_query(query: GetRig, rig: Rig) -> RigDetail:
    raise NotImplementedError


def test_a_query_is_told_of_the_view(faults: Faults) -> None:
    (fault,) = faults(feature(RIGS, GetRig, plain_in_query))
    assert fault.code is Code.HANDLER_PARAMETER
    assert "Write `Target[RigDetail]`" in fault.hint


@handles(MoveRig)
async def any_rig(command: MoveRig, rig: AnyTarget[Rig]) -> None: ...


def test_deleted_rows_must_exist_to_be_found(faults: Faults) -> None:
    (fault,) = faults(feature(RIGS, MoveRig, any_rig))
    assert fault.code is Code.TARGET_DELETED


class RigSettings(SettingsGroup):
    env_prefix = "RIG_"


@handles(GetRig)
async def takes_own_settings(query: GetRig, rig: RigSettings) -> RigDetail:
    raise NotImplementedError


@handles(GetRig)
async def takes_other_settings(query: GetRig, db: DbSettings) -> RigDetail:
    raise NotImplementedError


def test_a_group_of_settings_must_be_listed(faults: Faults) -> None:
    (fault,) = faults(feature(GetRig, takes_own_settings))
    assert "settings=(RigSettings,)" in fault.hint
    (fault,) = faults(feature(GetRig, takes_other_settings))
    assert "declare a group of your own" in fault.hint
