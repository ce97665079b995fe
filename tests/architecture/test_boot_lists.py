"""Shows that a listing handles its query, unless it cannot or a function does."""

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import JSON, ForeignKey, FromClause, bindparam, join, outerjoin, select
from sqlalchemy.orm import Mapped, aliased, mapped_column

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range
from backstay.core.messages import FromPath, View
from backstay.core.permissions import SIGNED_IN, PermissionSpec, Scope
from backstay.core.wiring import BootError, Code
from backstay.db.base import Entity, SoftDelete
from backstay.db.fixed_point import Money
from backstay.db.list_statements import Shape
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.architecture.booting import Faults, feature


class Sail(Entity):
    __tablename__ = "test_boot_sails"
    __table_args__ = {"info": {"owner": "tests"}}  # noqa: RUF012

    area: Mapped[int]
    mast_id: Mapped[UUID]


class SailSummary(View):
    id: UUID
    area: int


class ListSails(ListQuery[SailSummary]):
    permission = PermissionSpec("sails", "list")


SAILS = Listing(ListSails, Sail, SailSummary)
SAILS_AGAIN = Listing(ListSails, Sail, SailSummary)


@handles(ListSails)
async def list_sails(
    query: ListSails, paginate: Paginator
) -> Page[SailSummary] | CursorPage[SailSummary]:
    return await paginate(SAILS, query)


def booted(tmp_path: Path, *features: Feature) -> Backstay:
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    backstay = compose(settings, [*STANDARD, *features])
    backstay.passwords.close()
    return backstay


def test_a_listing_is_the_handler_of_its_query(tmp_path: Path) -> None:
    sails = feature(ListSails, SAILS)
    assert SAILS.handler in set(sails.functions())
    booted(tmp_path, sails)


def test_a_function_comes_before_a_listing(tmp_path: Path) -> None:
    sails = feature(ListSails, SAILS, list_sails)
    assert set(sails.functions()) == {list_sails}
    booted(tmp_path, sails)


def test_two_listings_of_one_query_are_refused(faults: Faults) -> None:
    (fault,) = faults(feature(ListSails, SAILS, SAILS_AGAIN))
    assert fault.code is Code.HANDLER_TWICE
    assert str(SAILS.place) in fault.problem
    assert fault.where == str(SAILS_AGAIN.place)


class ListSailsOfMast(ListQuery[SailSummary]):
    permission = PermissionSpec("sails", "list")
    mast_id: FromPath[UUID]


OPEN = Listing(
    ListSailsOfMast,
    Sail,
    SailSummary,
    where=(Sail.mast_id == bindparam("mast_id")) & (Sail.area > bindparam("least")),
)


def test_a_listing_must_leave_nothing_open(faults: Faults) -> None:
    (fault,) = faults(feature(ListSailsOfMast, OPEN))
    assert fault.code is Code.LIST_UNBOUND
    assert "leaves `least` open" in fault.problem


class ListMySails(ListQuery[SailSummary]):
    permission = SIGNED_IN


MINE = Listing(ListMySails, Sail, SailSummary)


def test_a_listing_needs_a_permission(faults: Faults) -> None:
    (fault,) = faults(feature(ListMySails, MINE))
    assert fault.code is Code.LIST_NO_PERMISSION
    assert "scope" in fault.hint


class ListOwnSails(ListQuery[SailSummary]):
    permission = PermissionSpec("sails", "list", default_scope=Scope.OWN)


OWN = Listing(ListOwnSails, Sail, SailSummary)


def test_a_list_of_own_rows_needs_an_owner(faults: Faults) -> None:
    (fault,) = faults(feature(ListOwnSails, OWN))
    assert fault.code is Code.RESOURCE_NO_OWNER
    assert "permission of ListOwnSails" in fault.problem


class Weighing(Entity):
    __tablename__ = "test_boot_weighings"
    __table_args__ = {"info": {"owner": "tests"}}  # noqa: RUF012

    tons: Mapped[float]


class ListWeighings(ListQuery[SailSummary]):
    permission = PermissionSpec("weighings", "list")

    tons: Range[Money] | None = None


def test_an_exact_filter_needs_an_exact_column(faults: Faults) -> None:
    weighings = Listing(ListWeighings, Weighing, SailSummary, columns={"area": Weighing.tons})
    (fault,) = faults(feature(ListWeighings, weighings))
    assert fault.code is Code.LIST_TYPE
    assert "compares Decimal with a column of float" in fault.problem
    assert "Money" in fault.hint


class Kind(StrEnum):
    CARGO = "cargo"
    BILGE = "bilge"


class Hold(SoftDelete, Entity):
    __tablename__ = "test_boot_holds"
    __table_args__ = {"info": {"owner": "tests"}}  # noqa: RUF012

    sail_id: Mapped[UUID] = mapped_column(ForeignKey("test_boot_sails.id"))
    kind: Mapped[Kind]
    is_dry: Mapped[bool]
    notes: Mapped[Any] = mapped_column(JSON)
    value: Mapped[Money]
    filled_at: Mapped[datetime]
    checked_on: Mapped[date]


class ListHolds(ListQuery[SailSummary]):
    permission = PermissionSpec("holds", "list")
    sortable = ("notes", "depth", "nothing")
    searchable = ("value", "kind")

    kind: Range[Kind] | None = None
    is_dry: Range[bool] | None = None
    value: Range[float] | None = None
    filled_at: Range[datetime] | None = None
    checked_on: Range[datetime] | None = None
    sail_id: Equals[int] | None = None
    notes: Equals[str] | None = None
    depth: Range[int] | None = None
    nothing: Range[int] | None = None


HOLDS = Listing(ListHolds, Hold, SailSummary, columns={"depth": Sail.area})


def test_every_fault_of_a_listing_is_shown_at_boot(faults: Faults) -> None:
    found = faults(feature(ListHolds, HOLDS))
    assert {fault.where for fault in found} == {str(HOLDS.place)}
    column, kind, joins = (
        sorted(fault.problem for fault in found if fault.code is code)
        for code in (Code.LIST_COLUMN, Code.LIST_TYPE, Code.LIST_JOIN)
    )
    assert len(column) + len(kind) + len(joins) == len(found)
    missing = "Hold has no column `{}`, nor is there an expression."
    assert column == [
        f"The listing of ListHolds filters by `nothing`, but {missing.format('nothing')}",
        f"The listing of ListHolds shows `area`, but {missing.format('area')}",
        f"The listing of ListHolds sorts by `nothing`, but {missing.format('nothing')}",
    ]
    assert kind == [
        "ListHolds searches `kind`, which is a column of Kind, no text.",
        "ListHolds searches `value`, which is a column of Decimal, no text.",
        "ListHolds sorts by `notes`, whose values have no known type or order.",
        "The filter `checked_on` of ListHolds compares datetime with a column of date.",
        "The filter `is_dry` of ListHolds is a Range, and a column of bool has no order.",
        "The filter `kind` of ListHolds is a Range, and a column of Kind has no order.",
        "The filter `notes` of ListHolds compares str with a column of JSON.",
        "The filter `sail_id` of ListHolds compares int with a column of UUID.",
        "The filter `value` of ListHolds compares float with a column of Decimal.",
    ]
    assert joins == [
        "The listing of ListHolds takes `depth` from test_boot_sails, which it does not join."
    ]


def test_a_listing_with_faults_answers_nothing() -> None:
    with pytest.raises(BootError, match=r"list\.column"):
        HOLDS.statement(Shape(own=False, searched=False, conditions=()))


def joined(from_: FromClause) -> list[str]:
    """The faults of a list of sails from these tables."""
    found = Listing(ListSails, Sail, SailSummary, from_=from_).own_flaws()
    return [fault.problem for fault in found if fault.code is Code.LIST_JOIN]


def test_a_list_joins_at_most_one_row_each() -> None:
    many = (
        "The listing of ListSails joins test_boot_holds by columns that are not unique in it, so "
        "that one row could be in the list several times."
    )
    same = Hold.sail_id == Sail.id
    assert joined(join(Sail, Hold, same)) == [many]
    assert joined(join(Hold, Sail, same)) == [many]
    assert joined(join(Sail, Hold, same & (Hold.id == Sail.mast_id))) == []
    other = aliased(Hold)
    assert joined(outerjoin(Sail, other, other.id == Sail.mast_id)) == []
    assert len(joined(outerjoin(Sail, other, other.sail_id == Sail.id))) == 1
    newest = select(Hold.sail_id).group_by(Hold.sail_id).subquery()
    assert joined(outerjoin(Sail, newest, newest.c.sail_id == Sail.id)) == []


class ListShelteredSails(ListQuery[SailSummary]):
    permission = PermissionSpec("sails", "list")
    mast_id: FromPath[UUID]


PATHLESS = Listing(ListShelteredSails, Sail, SailSummary, where=Sail.area > 3)


def test_the_path_restricts_every_list(faults: Faults) -> None:
    (fault,) = faults(feature(ListShelteredSails, PATHLESS))
    assert fault.code is Code.LIST_PATH
    assert fault.problem.endswith("ignores the path field `mast_id`.")
    assert "bindparam('mast_id')" in fault.hint


class ListNamed(ListQuery[SailSummary]):
    permission = PermissionSpec("sails", "list")
    sortable = "area"  # type: ignore[assignment]
    searchable = "area"  # type: ignore[assignment]

    area: Range[int] | None = None


NAMED = Listing(ListNamed, Sail, SailSummary)


def test_sorted_and_searched_names_are_a_tuple(faults: Faults) -> None:
    found = faults(feature(ListNamed, NAMED))
    assert {fault.code for fault in found} == {Code.LIST_NAMES}
    assert [fault.hint for fault in found] == [
        "Write `sortable = ('area',)`.",
        "Write `searchable = ('area',)`.",
    ]


@handles(ListHolds)
async def list_holds(
    query: ListHolds, paginate: Paginator
) -> Page[SailSummary] | CursorPage[SailSummary]:
    return await paginate(HOLDS, query)


def test_faults_are_shown_whoever_handles_the_list(faults: Faults) -> None:
    assert len(faults(feature(ListHolds, HOLDS, list_holds))) == len(HOLDS.faults)
