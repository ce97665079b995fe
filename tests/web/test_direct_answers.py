"""Shows that rows answer alike, whether the framework's layers are around them or left out."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.application import create_app
from backstay.core.bus import Bus
from backstay.core.clock import new_id
from backstay.core.errors import DatabaseUnavailable, NotFound
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, Person, client_of
from backstay.web.served import Served
from tests.features.steps import API, ME, needs

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

OF_THE_REQUEST = {"x-request-id", "traceparent", "ratelimit", "x-ratelimit-remaining"}
ITEMS = f"{API}/items"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REQUESTS: list[dict[str, Any]] = [
    *({"method": method, "url": ME} for method in ("GET", "HEAD", "OPTIONS", "PUT", "TRACE")),
    *({"method": method, "url": ITEMS} for method in ("GET", "HEAD", "OPTIONS", "PATCH")),
    {"method": "GET", "url": ME, "headers": {"Authorization": ""}},
    {"method": "GET", "url": ME, "headers": {"Authorization": "Bearer no.such.token"}},
    {"method": "GET", "url": ME, "headers": {"If-None-Match": "*"}},
    {"method": "GET", "url": ME, "headers": {"If-Match": '"other"'}},
    {"method": "GET", "url": ME, "headers": {"Origin": "https://elsewhere.example"}},
    {"method": "GET", "url": ME, "headers": {"Host": "not a host"}},
    {"method": "GET", "url": f"{ME}?unknown=1"},
    {"method": "GET", "url": ME, "content": b"{}", "headers": JSON},
    {"method": "GET", "url": f"{ITEMS}?per_page=1&page=2"},
    {"method": "GET", "url": f"{ITEMS}?limit=1"},
    {"method": "GET", "url": f"{ITEMS}?page=0"},
    {"method": "GET", "url": f"{ITEMS}?{'a=1&' * 300}"},
    *({"method": "GET", "url": f"{ITEMS}/{path}"} for path in ("", "no-id", "/", "a/b", "%2F")),
    *({"method": method, "url": f"{ITEMS}/{new_id()}"} for method in ("GET", "HEAD", "DELETE")),
    *(
        {"method": "POST", "url": ITEMS, "content": body, "headers": JSON}
        for body in (b"", b"{", b"[]", b"{}", b'{"title": ""}', b'{"title": "a", "more": 1}')
    ),
    {"method": "POST", "url": ITEMS, "content": b"title=a", "headers": FORM},
    {"method": "POST", "url": ITEMS, "content": b"{}", "headers": {"Content-Encoding": "gzip"}},
    {"method": "POST", "url": f"{API}/auth/login", "content": b"username=a", "headers": FORM},
    *({"method": "GET", "url": url} for url in ("/", "/nope", "/livez", f"{API}/items.csv")),
]


class Passing:
    """A layer of a project that does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def nobody(*_: object) -> PlainTextResponse:
    raise AssertionError("nobody raises this")


@pytest.fixture
async def whole(settings: Settings, clock: FrozenClock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same application with all layers: a project added one, and a handler."""
    app = create_app(settings, clock=clock, worker=False)
    app.add_middleware(Passing)
    app.add_exception_handler(BlockingIOError, nobody)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


async def answered(client: httpx.AsyncClient, request: dict[str, Any]) -> tuple[Any, ...]:
    """An answer without what differs from one request to the next."""
    answer = await client.request(**request)
    told = [pair for pair in answer.headers.multi_items() if pair[0] not in OF_THE_REQUEST]
    body = answer.text.replace(answer.headers["x-request-id"], "ID")
    return answer.status_code, told, body


@needs("items")
async def test_answers_are_the_same_with_all_layers(login: Login, whole: httpx.AsyncClient) -> None:
    person = await login()
    whole.headers["Authorization"] = person.client.headers["Authorization"]
    for title in ("one", "two", "three"):
        await person.client.post(ITEMS, json={"title": title})
    for request in REQUESTS:
        short, long = await answered(person.client, request), await answered(whole, request)
        assert short == long, request


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(418, "hush", headers={"X-Tea": "green"}),
        RequestValidationError([{"loc": ("body", "a"), "type": "missing", "msg": "Missing"}]),
        NotFound("gone"),
        DatabaseUnavailable(),
        ZeroDivisionError("hush"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_errors_are_the_same_with_all_layers(
    person: Person, whole: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object) -> None:
        raise error

    whole.headers["Authorization"] = person.client.headers["Authorization"]
    await whole.get(ME)  # the principal is read now
    monkeypatch.setattr(Bus, "send", fail)
    request = {"method": "GET", "url": ME}
    assert await answered(person.client, request) == await answered(whole, request)


@pytest.fixture
async def person(login: Login) -> Person:
    """Somebody whose principal is known already."""
    found = await login()
    await found.client.get(ME)
    return found


async def test_a_handler_of_a_project_answers_its_exceptions(
    settings: Settings, login: Login, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise BlockingIOError

    async def answer(*_: object) -> PlainTextResponse:
        return PlainTextResponse("busy", 503)

    person = await login()
    app = create_app(settings, clock=clock, worker=False)
    app.add_exception_handler(BlockingIOError, answer)
    async with app.router.lifespan_context(app), client_of(app) as client:
        client.headers["Authorization"] = person.client.headers["Authorization"]
        await client.get(ME)
        monkeypatch.setattr(Bus, "send", fail)
        assert (await client.get(ME)).text == "busy"


@pytest.mark.parametrize("adds", ["layer", "handler", "limit"])
async def test_what_a_project_adds_brings_all_layers_back(app: FastAPI, adds: str) -> None:
    assert isinstance(app, Served)
    app.middleware_stack = app.build_middleware_stack()
    assert app._first is not None
    if adds == "layer":
        app.user_middleware = [*app.user_middleware]
        app.middleware_stack = None
        app.add_middleware(CORSMiddleware)
    elif adds == "handler":
        app.add_exception_handler(Exception, nobody)
    else:
        app.max_body_size = 1
    app.build_middleware_stack()
    assert app._first is None
