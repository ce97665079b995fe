"""Shows that every route keeps the rules of the HTTP edge, wherever it was added."""

from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI
from fastapi.security import HTTPBearer

from backstay.application import create_app
from backstay.core.bus import handles
from backstay.core.messages import Command, View
from backstay.core.permissions import SIGNED_IN
from backstay.core.wiring import BootError
from backstay.features import STANDARD
from backstay.features.items.queries import GetItem
from backstay.testing import settings_with
from backstay.web.routes import Routes
from tests.architecture.booting import feature
from tests.architecture.edge import (
    ask,
    method_faults,
    path_of,
    route_faults,
    routes_of,
    stranger_faults,
)

pytestmark = pytest.mark.anyio


async def test_every_route_keeps_the_rules(app: FastAPI) -> None:
    assert route_faults(app) == []


async def test_strangers_are_refused_before_their_body_is_read(app: FastAPI) -> None:
    assert await stranger_faults(app) == []


async def test_a_body_with_too_large_content_length_is_not_read(app: FastAPI) -> None:
    for context in routes_of(app):
        for method in context.methods or ():
            headers = {b"content-length": b"1000000000"}
            status, _, reads = await ask(app, method, path_of(context), headers)
            assert (status, reads) == (413, 0), context.path


async def test_a_405_lists_every_allowed_method(app: FastAPI) -> None:
    assert await method_faults(app) == []


@pytest.fixture
def unused(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/unused.db"


def app_with(
    url: str, folder: Path, *routes: Routes, routers: tuple[APIRouter, ...] = ()
) -> FastAPI:
    """An application that is not started, with more routes."""
    more = feature(MakeKeys, make_keys, name="more", routes=routes)
    return create_app(settings_with(url, folder), [*STANDARD, more], routers=routers)


def hidden_router() -> APIRouter:
    """A router inside another, with a route that authenticates as the framework suggests."""
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")

    @inner.post("/things")
    async def create(
        token: Annotated[str, Depends(HTTPBearer())], title: Annotated[str, Body()]
    ) -> str:
        return token + title

    @inner.get("/things")
    async def read(token: Annotated[str, Depends(HTTPBearer())]) -> str:
        return token

    outer.include_router(inner)
    return outer


@pytest.fixture
def breached(unused: str, tmp_path: Path) -> FastAPI:
    return app_with(unused, tmp_path, routers=(hidden_router(),))


def test_an_included_router_hides_no_route(breached: FastAPI) -> None:
    assert "/outer/inner/things: outside the pipeline" in route_faults(breached)
    assert not [each for each in breached.routes if getattr(each, "path", "").startswith("/outer")]


async def test_reading_the_body_of_a_stranger_is_noticed(breached: FastAPI) -> None:
    assert any("POST /outer/inner/things: 413" in f for f in await stranger_faults(breached))


async def test_methods_left_out_are_noticed(breached: FastAPI) -> None:
    (fault,) = await method_faults(breached)
    assert fault.startswith("PUT /outer/inner/things: 405")


def test_an_application_without_routes_is_noticed() -> None:
    assert route_faults(FastAPI(openapi_url=None)) == ["no route was found"]


class Unheard(Command[None]):
    pass


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_a_route_that_breaks_the_rules_is_noticed(unused: str, tmp_path: Path) -> None:
    routes = Routes("", tag="more")
    routes.get("/items/{id}", GetItem, limit=None)
    routes.post("/unheard", Unheard)
    with pytest.raises(BootError):
        app_with(unused, tmp_path, routes)
    app = app_with(unused, tmp_path)
    app.router.routes += routes.build("/api")
    faults = route_faults(app)
    assert "get_item: 2 routes of this operation id" in faults
    assert "GET /api/v1/items/{}: 2 routes" in faults
    assert "/api/v1/items/{id}: no limit class" in faults
    assert "/api/v1/unheard: no feature handles Unheard" in faults
    assert "/api/v1/unheard: Unheard has no policy of its own" in faults


class ApiKey(View):
    key_secret: str


class ApiKeys(View):
    keys: tuple[ApiKey, ...]


class MakeKeys(Command[ApiKeys]):
    permission = SIGNED_IN


@handles(MakeKeys)
async def make_keys(command: MakeKeys) -> ApiKeys:
    return ApiKeys(keys=())


def test_secrets_that_would_be_stored_are_noticed(unused: str, tmp_path: Path) -> None:
    routes = Routes("/auth", tag="more")
    routes.post("/keys", MakeKeys)
    faults = route_faults(app_with(unused, tmp_path, routes))
    path = "/api/v1/auth/keys: MakeKeys is replayable"
    assert {path, f"{path} and answers with `key_secret`"} <= set(faults)


def test_a_missing_problem_is_noticed(unused: str, tmp_path: Path) -> None:
    app = app_with(unused, tmp_path)
    answers = app.openapi()["paths"]["/api/v1/items/{id}"]["get"]["responses"]
    del answers["401"]
    answers["404"] = {"description": "Not found"}
    faults = route_faults(app)
    assert "GET /api/v1/items/{id}: the problem 401 is not documented" in faults
    assert "GET /api/v1/items/{id}: 404 is documented as something else" in faults
