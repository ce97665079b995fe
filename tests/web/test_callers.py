"""Shows that routes of plain FastAPI routers know their callers, and never an anonymous one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI

from backstay.application import create_app
from backstay.features.auth.queries.principals import GetKeySet
from backstay.features.users.queries.accounts import GetMe
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, client_of
from backstay.web.callers import CurrentPrincipal, OptionalPrincipal, Send, SendAsAnyone
from tests.features.steps import AUTH
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

router = APIRouter(prefix="/mine")
inner = APIRouter()


@router.get("/id")
async def own_id(principal: CurrentPrincipal) -> str:
    return str(principal.id)


@router.get("/maybe")
async def maybe(principal: OptionalPrincipal) -> str:
    return "nobody" if principal is None else str(principal.id)


@router.post("/profile")
async def profile(send: Send, more: Annotated[dict[str, int], Body()]) -> str:
    return (await send(GetMe())).email + str(more)


@router.get("/keys")
async def keys(send: SendAsAnyone) -> int:
    return len((await send(GetKeySet())).keys)


@router.get("/profile-of-anyone")
async def profile_of_anyone(send: SendAsAnyone) -> str:
    return (await send(GetMe())).email


async def level(principal: CurrentPrincipal) -> int:
    return principal.level


@inner.post("/level/{number}")
async def own_level(number: int, found: Annotated[int, Depends(level)], more: str) -> int:
    return found


router.include_router(inner, prefix="/inner")


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "100"}


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock) -> AsyncIterator[FastAPI]:
    application = create_app(settings, routers=[router], clock=clock, worker=False)
    async with application.router.lifespan_context(application):
        yield application


async def test_a_plain_route_knows_its_caller(login: Login) -> None:
    ada, bob = await login(), await login()
    for person in (ada, bob):
        assert (await person.client.get("/mine/id")).json() == person.id
        assert (await person.client.get("/mine/maybe")).json() == person.id
        told = await person.client.post("/mine/profile", json={"a": 1})
        assert told.json() == person.email + "{'a': 1}"
        assert (await person.client.get("/mine/profile-of-anyone")).json() == person.email
        assert (await person.client.post("/mine/inner/level/1?more=1")).json() == 0


@pytest.mark.parametrize("token", [None, "Bearer junk", "Basic YTpi"])
async def test_nobody_is_refused_before_the_body_is_read(app: FastAPI, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}

    read: list[bool] = []

    async def unread() -> AsyncIterator[bytes]:
        read.append(True)
        yield b"{}"

    async with client_of(app, headers=headers) as client:
        problem(await client.get("/mine/id"), 401, "auth_error")
        problem(await client.post("/mine/inner/level/none"), 401, "auth_error")
        body = {"content-type": "application/json"}
        problem(await client.post("/mine/profile", content=unread(), headers=body), 401)
        assert not read
        assert (await client.get("/mine/maybe")).json() == "nobody"
        assert (await client.get("/mine/keys")).status_code == 200
        problem(await client.get("/mine/profile-of-anyone"), 401)


async def test_a_caller_whose_session_ended_is_nobody(login: Login) -> None:
    ada = await login()
    assert (await ada.client.get("/mine/id")).status_code == 200
    await ada.client.delete(f"{AUTH}/sessions?all=true")
    assert problem(await ada.client.get("/mine/id"), 401)["detail"].startswith("This session")
    assert (await ada.client.get("/mine/maybe")).json() == "nobody"


async def test_a_request_of_a_plain_route_counts_once(login: Login) -> None:
    ada = await login()
    left = [await ada.client.get("/mine/id") for _ in range(3)]
    assert [int(each.headers["x-ratelimit-remaining"]) for each in left] == [99, 98, 97]
    answers = await asyncio.gather(*(ada.client.get("/mine/id") for _ in range(50)))
    assert {answer.json() for answer in answers} == {ada.id}
    assert min(int(each.headers["x-ratelimit-remaining"]) for each in answers) == 47


def operations(app: FastAPI) -> Mapping[str, Any]:
    return {
        path: operation
        for path, item in app.openapi()["paths"].items()
        for operation in item.values()
        if path.startswith("/mine")
    }


async def test_the_caller_is_described(app: FastAPI) -> None:
    described = operations(app)
    assert described["/mine/id"]["security"] == [{"bearer": []}]
    assert described["/mine/maybe"]["security"] == [{}, {"bearer": []}]
    assert described["/mine/inner/level/{number}"]["security"] == [{"bearer": []}]
    refused = described["/mine/inner/level/{number}"]["responses"]
    assert set(refused) == {"200", "401", "403", "422", "429", "500"}
    assert refused["422"] == {"$ref": "#/components/responses/Invalid"}
    assert "401" not in described["/mine/maybe"]["responses"]
