"""Queries that are read once for all clients that ask in the same words."""

from typing import Any, ClassVar

import pytest
from pydantic import field_validator
from starlette.requests import Request

from backstay.core.errors import Invalid
from backstay.core.listing import Equals, ListQuery
from backstay.core.messages import Message, View
from backstay.core.permissions import SIGNED_IN
from backstay.web.parameters import Parameters

pytestmark = pytest.mark.anyio


LONG = "limit=20&sort=" + "%20" * 50


class Boat(View):
    name: str


class ListBoats(ListQuery[Boat]):
    permission = SIGNED_IN
    sortable: ClassVar[tuple[str, ...]] = ("name",)

    name: Equals[str] | None = None


class ListDatedBoats(ListBoats):
    permission = SIGNED_IN

    @field_validator("limit")
    @classmethod
    def _differs_each_time(cls, value: int) -> int:
        return value


async def read(parameters: Parameters, query: str) -> Message[Any]:
    scope = {"type": "http", "method": "GET", "query_string": query.encode(), "headers": []}
    return await parameters.read(Request(scope | {"path_params": {}}))


def of(message: type[Message[Any]]) -> Parameters:
    return Parameters(message, {}, "GET")


@pytest.mark.parametrize("query", ["", "limit=20", "page=2&per_page=5&total=false", "sort=-name"])
async def test_the_same_words_are_read_once(query: str) -> None:
    boats = of(ListBoats)
    first = await read(boats, query)
    assert await read(boats, query) is first
    assert first == await read(of(ListBoats), query)


@pytest.mark.parametrize("query", ["name=Nan", "limit=20&name=Nan", LONG])
async def test_what_differs_each_time_is_not_kept(query: str) -> None:
    boats = of(ListBoats)
    first = await read(boats, query)
    again = await read(boats, query)
    assert again == first
    assert again is not first


async def test_a_validator_of_a_project_sees_every_query() -> None:
    boats = of(ListDatedBoats)
    assert await read(boats, "limit=20") is not await read(boats, "limit=20")


async def test_a_refused_query_is_refused_again() -> None:
    boats = of(ListBoats)
    await read(boats, "limit=20")
    for query in ("limit=20&rig=sloop", "limit=0", "limit=20&limit=20"):
        for _ in range(2):
            with pytest.raises(Invalid):
                await read(boats, query)


async def test_only_so_many_queries_are_kept() -> None:
    boats = of(ListBoats)
    first = await read(boats, "limit=1")
    for limit in range(2, 200):
        await read(boats, f"limit={limit}")
    assert await read(boats, "limit=1") is not first
