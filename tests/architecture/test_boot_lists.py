"""Shows that a listing handles its query, unless it cannot or a function does."""

from pathlib import Path
from uuid import UUID

from sqlalchemy import bindparam
from sqlalchemy.orm import Mapped

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import FromPath, View
from backstay.core.permissions import SIGNED_IN, PermissionSpec, Scope
from backstay.core.wiring import Code
from backstay.db.base import Entity
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
