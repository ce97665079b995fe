"""Shows that a custom endpoint may have FastAPI's dependencies, and is not solved without them."""

import sys
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Query
from backstay.core.permissions import PUBLIC
from backstay.web.dispatch import Route
from backstay.web.routes import Routes
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


class Greet(Query[str]):
    """Greet whoever asks."""

    permission = PUBLIC


@handles(Greet)
async def greet(query: Greet) -> str:
    return "Good day."


def loud(request: Request) -> str:
    return request.url.path.upper()


async def alone(request: Request) -> Response:
    return Response(request.url.path)


async def dependent(request: Request, path: Annotated[str, Depends(loud)]) -> Response:
    return Response(path)


routes = Routes("/greet", tag="greetings", versioned=False)
routes.get("/alone", Greet, endpoint=alone, name="greet_alone")
routes.get("/dependent", Greet, endpoint=dependent, name="greet_dependent")


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, Feature("greetings", modules=(sys.modules[__name__],), routes=(routes,))]


async def test_custom_endpoints_answer_with_and_without_dependencies(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/greet/alone")).text == "/greet/alone"
    assert (await client.get("/greet/dependent")).text == "/GREET/DEPENDENT"
    for name in ("alone", "dependent"):
        problem(await client.get(f"/greet/{name}?more=1"), 422)


async def test_only_dependencies_are_solved_before_the_api_is_described(app: FastAPI) -> None:
    ours = {each.spec.operation_id: each for each in app.routes if isinstance(each, Route)}
    assert [name for name in ours if "dependant" in vars(ours[name])] == ["greet_dependent"]
    alone_there = app.openapi()["paths"]["/greet/alone"]["get"]
    assert alone_there["summary"] == "Greet whoever asks"
