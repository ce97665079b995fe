"""Shows that resources that could not work stop the boot."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from backstay.composition import compose
from backstay.core.bus import handles
from backstay.core.messages import Command, FromPath, Query, View
from backstay.core.permissions import Scope
from backstay.core.targets import AnyTarget, Target
from backstay.core.wiring import Code
from backstay.db.base import Entity, SoftDelete
from backstay.db.resource import Resource
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.architecture.booting import Faults, feature
from tests.architecture.rigs import OWNED, RIGS, Mast, Rig, RigDetail


class GetRig(Query[RigDetail]):
    permission = RIGS.read
    id: FromPath[UUID]


@handles(GetRig)
async def get_rig(query: GetRig, rig: Target[RigDetail]) -> RigDetail:
    return rig


class Buoy(SoftDelete, Entity):
    __tablename__ = "test_boot_buoys"
    __table_args__ = OWNED

    depth: Mapped[int]


buoy_depth = Index(
    "uq_test_boot_buoys_depth",
    Buoy.depth,
    unique=True,
    postgresql_where=Buoy.deleted_at.is_(None),
    sqlite_where=Buoy.deleted_at.is_(None),
)


class SinkBuoy(Command[None]):
    permission = RIGS.delete
    depth: FromPath[int]


@handles(SinkBuoy)
async def sink_buoy(command: SinkBuoy, buoy: Target[Buoy]) -> None: ...


@handles(SinkBuoy)
async def sink_any(command: SinkBuoy, buoy: AnyTarget[Buoy]) -> None: ...


def test_a_key_must_name_one_row(tmp_path: Path, faults: Faults) -> None:
    buoys = Resource("buoys", Buoy, RigDetail, key="depth")
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    compose(settings, [*STANDARD, feature(buoys, SinkBuoy, sink_buoy)]).passwords.close()
    (fault,) = faults(feature(buoys, SinkBuoy, sink_any))
    assert fault.code is Code.TARGET_DELETED
    assert "Several deleted rows of Buoy may have one `depth`." in fault.problem


class MastDetail(View):
    id: UUID
    colour: str


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (Resource("masts", Mast, RigDetail, columns={"depth": Mast.height}, key="name"), "key"),
        (Resource("masts", Rig, RigDetail, key="depth"), "key"),
        (Resource("masts", Mast, MastDetail), "view"),
        (Resource("masts", Rig, RigDetail, tags=("masts:{name}",)), "tag"),
        (Resource("masts", Rig, RigDetail, default_scope=Scope.OWN), "no_owner"),
    ],
)
def test_a_resource_that_cannot_work_is_refused(
    faults: Faults, resource: Resource[Any, Any], code: str
) -> None:
    (fault,) = faults(feature(resource))
    assert fault.code == f"resource.{code}"
    assert fault.where == str(resource.place)


class DescribeRig(Query[MastDetail]):
    permission = RIGS.read
    id: FromPath[UUID]


@handles(DescribeRig)
async def describe_rig(query: DescribeRig, mast: Target[MastDetail]) -> MastDetail:
    return mast


def test_a_view_made_by_a_query_is_no_target(tmp_path: Path, faults: Faults) -> None:
    resource = Resource("masts", Rig, MastDetail, shown_by=lambda rig: DescribeRig(id=rig.id))
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    compose(settings, [*STANDARD, feature(resource)]).passwords.close()
    (fault,) = faults(feature(resource, DescribeRig, describe_rig))
    assert fault.code is Code.RESOURCE_VIEW
    assert "of `mast` is not made of columns" in fault.problem


class OwnMove(Command[None]):
    permission = RIGS.may("own", default_scope=Scope.OWN)
    id: FromPath[UUID]


@handles(OwnMove)
async def own_move(command: OwnMove, rig: Target[Rig]) -> None: ...


def test_a_permission_that_reaches_nothing_is_refused(faults: Faults) -> None:
    (fault,) = faults(feature(RIGS, OwnMove, own_move))
    assert fault.code is Code.RESOURCE_NO_OWNER
    assert "permission of OwnMove" in fault.problem


def test_two_resources_of_one_entity_are_refused(faults: Faults) -> None:
    other = Resource("platforms", Rig, RigDetail)
    told = faults(feature(RIGS, other))
    assert {fault.code for fault in told} == {Code.RESOURCE_TWICE}
    assert all(str(RIGS.place) in fault.problem for fault in told)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("user_id", "Rig has no column `user_id`"),
        ("depth.id", "the column `depth` of Rig has no foreign key"),
        ("mast_id.height.id", "the column `height` of test_boot_masts has no foreign key"),
        ("mast_id.nothing", "test_boot_masts has no column `nothing`"),
    ],
)
def test_a_wrong_path_to_the_owner_is_refused(
    monkeypatch: pytest.MonkeyPatch, faults: Faults, path: str, told: str
) -> None:
    monkeypatch.setattr(Rig, "__owner__", path)
    (fault,) = faults(feature(RIGS, GetRig, get_rig))
    assert fault.code is Code.RESOURCE_OWNER
    assert told in fault.problem
