"""Shows that a project may replace one packaged handler, and only where it names it."""

from pathlib import Path

import pytest

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.feature import Feature
from backstay.core.listing import CursorPage, Page
from backstay.core.messages import Query
from backstay.core.permissions import PUBLIC
from backstay.core.principal import STRANGER
from backstay.core.wiring import Code
from backstay.features import STANDARD
from backstay.features.items.queries import ITEMS_LIST, GetItem, ListItems, get_item
from backstay.features.items.schemas import ItemDetail, ItemSummary
from backstay.testing import settings_with
from tests.architecture.booting import Faults, feature


class GetDepth(Query[int]):
    permission = PUBLIC


@handles(GetDepth)
async def get_depth(query: GetDepth) -> int:
    return 1


@handles(GetDepth, instead_of=get_depth)
async def get_depth_twice(query: GetDepth) -> int:
    return 2 * await get_depth(query)


@handles(GetDepth, instead_of=get_depth_twice)
async def get_depth_again(query: GetDepth) -> int:
    return 3 * await get_depth_twice(query)


def booted(tmp_path: Path, *features: Feature) -> Backstay:
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    backstay = compose(settings, [*STANDARD, *features])
    backstay.passwords.close()
    return backstay


async def depth(backstay: Backstay) -> int:
    return await Sender(backstay.bus.send, STRANGER)(GetDepth())


@pytest.mark.anyio
async def test_a_handler_takes_the_place_of_the_one_it_names(tmp_path: Path) -> None:
    packaged = feature(GetDepth, get_depth)
    assert await depth(booted(tmp_path, packaged)) == 1
    project = feature(get_depth_twice, name="project", requires=["rigs"])
    assert await depth(booted(tmp_path, packaged, project)) == 2
    last = feature(get_depth_again, name="last", requires=["rigs"])
    assert await depth(booted(tmp_path, packaged, last, project)) == 6


@handles(ListItems, instead_of=ITEMS_LIST)
async def list_no_items(query: ListItems) -> Page[ItemSummary] | CursorPage[ItemSummary]:
    raise NotImplementedError


@handles(GetItem, instead_of=get_item)
async def get_no_item(query: GetItem) -> ItemDetail:
    raise NotImplementedError


def test_packaged_handlers_and_listings_can_be_replaced(tmp_path: Path) -> None:
    replacing = feature(list_no_items, get_no_item, name="shop", requires=["items"])
    booted(tmp_path, replacing)


@handles(ListItems)
async def list_items_too(query: ListItems) -> Page[ItemSummary] | CursorPage[ItemSummary]:
    raise NotImplementedError


def test_a_packaged_handler_is_not_replaced_by_chance(faults: Faults) -> None:
    (fault,) = faults(feature(list_items_too, name="shop", requires=["items"]))
    assert fault.code is Code.HANDLER_TWICE
    assert "list_items_too" in fault.problem


@handles(GetDepth, instead_of=get_depth)
async def get_depth_rival(query: GetDepth) -> int:
    return 4


def test_two_handlers_for_one_place_are_refused(faults: Faults) -> None:
    (fault,) = faults(feature(GetDepth, get_depth, get_depth_twice, get_depth_rival))
    assert fault.code is Code.HANDLER_TWICE
    assert "get_depth_twice" in fault.problem
    assert fault.problem.endswith("handle GetDepth.")


@handles(GetDepth, instead_of=get_item)
async def get_depth_wrongly(query: GetDepth) -> int:
    return 5


def test_only_the_present_handler_can_be_replaced(faults: Faults) -> None:
    (fault,) = faults(feature(GetDepth, get_depth, get_depth_wrongly, requires=["items"]))
    assert fault.code is Code.HANDLER_INSTEAD_OF
    assert "get_depth handles GetDepth." in fault.problem
    told = faults(feature(GetDepth, get_depth_twice))
    assert {fault.code for fault in told} == {Code.HANDLER_INSTEAD_OF, Code.MESSAGE_NO_HANDLER}
    assert any("nobody handles GetDepth." in fault.problem for fault in told)


def test_a_replacement_is_checked_like_any_handler(faults: Faults) -> None:
    @handles(GetDepth, instead_of=get_depth)  # type: ignore[arg-type]
    async def takes_another(query: GetItem) -> int:
        return 1

    told = faults(feature(GetDepth, get_depth, takes_another))
    assert Code.HANDLER_MESSAGE in {fault.code for fault in told}
