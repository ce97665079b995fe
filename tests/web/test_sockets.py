"""Shows that WebSockets of plain routers know their callers, count, and end with a session."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.types import Receive, Send
from structlog.testing import capture_logs

from backstay.application import create_app
from backstay.core.errors import Conflict
from backstay.core.rates import Rate
from backstay.core.wiring import BootError, Code
from backstay.features.users.queries.accounts import GetMe
from backstay.limits.classes import LimitClass
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, Person, client_of
from backstay.testing.waiting import LIMIT
from backstay.web import callers, request_log
from backstay.web.callers import CurrentPrincipal, OptionalPrincipal, limited_by
from tests.features.steps import AUTH
from tests.logs import logged
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


RARE = LimitClass("rare", lambda settings: Rate(2, 60))
router = APIRouter(prefix="/live")


@router.websocket("/id")
async def own_id(socket: WebSocket, principal: CurrentPrincipal) -> None:
    await socket.accept()
    while await socket.receive_text():
        await socket.send_text(str(principal.id))


@router.websocket("/email")
async def own_email(socket: WebSocket, send: callers.Send) -> None:
    await socket.accept()
    while await socket.receive_text():
        email = (await send(GetMe())).email
        await socket.send_text(email)


@router.websocket("/undeclared")
async def undeclared(socket: WebSocket) -> None:
    await socket.accept()


@router.websocket("/anyone")
async def anyone(socket: WebSocket, principal: OptionalPrincipal) -> None:
    await socket.accept()
    await socket.send_text("nobody" if principal is None else str(principal.id))


@router.websocket("/broken")
async def broken(socket: WebSocket, principal: OptionalPrincipal) -> None:
    await socket.accept()
    raise {"bug": LookupError, "conflict": Conflict}[await socket.receive_text()]


@router.websocket("/rare", dependencies=[limited_by(RARE)])
async def rare(socket: WebSocket, principal: OptionalPrincipal) -> None:
    await socket.accept()


@router.post("/rare", dependencies=[limited_by(RARE)])
async def rare_too(more: dict[str, str]) -> int:
    return len(more)


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "5", "SERVER_LOG": "true"}


@pytest.fixture
async def app(settings: Settings, clock: FrozenClock) -> AsyncIterator[FastAPI]:
    application = create_app(settings, routers=[router], clock=clock, worker=False)
    async with application.router.lifespan_context(application):
        yield application


async def _run(app: FastAPI, scope: Any, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


class Socket:
    """The client of one WebSocket."""

    def __init__(
        self, app: FastAPI, path: str, headers: dict[str, str], *, answers: bool = True
    ) -> None:
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        given = {"host": "shop.example.org", **headers}
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": f"/live{path}",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "subprotocols": [],
            "client": ("203.0.113.7", 1),
            "extensions": {"websocket.http.response": {}} if answers else {},
        }
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(_run(app, scope, self._to_app.get, self._from_app.put))

    async def next(self) -> Any:
        """What the application sends next."""
        return await asyncio.wait_for(self._from_app.get(), LIMIT)

    async def say(self, text: str) -> Any:
        """Send a text; what the application sends then."""
        await self._to_app.put({"type": "websocket.receive", "text": text})
        return await self.next()

    async def leave(self) -> None:
        await self._to_app.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait({self._task}, timeout=LIMIT)


async def opened(app: FastAPI, path: str, **headers: str) -> Socket:
    socket = Socket(app, path, headers)
    assert (await socket.next())["type"] == "websocket.accept"
    return socket


async def refusal(app: FastAPI, path: str, **headers: str) -> int:
    socket = Socket(app, path, headers)
    answer = await socket.next()
    assert answer["type"] == "websocket.http.response.start", answer
    assert (b"content-type", b"application/problem+json") in answer["headers"]
    await socket.leave()
    return int(answer["status"])


def bearer(person: Person) -> dict[str, str]:
    return {"authorization": person.client.headers["Authorization"]}


async def test_a_socket_knows_its_caller(app: FastAPI, login: Login) -> None:
    ada = await login()
    for path, told in (("/id", ada.id), ("/email", ada.email)):
        socket = await opened(app, path, **bearer(ada))
        assert (await socket.say("who?"))["text"] == told
        await socket.leave()


@pytest.mark.parametrize("path", ["/id", "/email", "/undeclared"])
async def test_nobody_opens_a_socket_that_does_not_say_so(app: FastAPI, path: str) -> None:
    assert await refusal(app, path) == 401
    assert await refusal(app, path, authorization="Bearer junk") == 401
    without = Socket(app, path, {}, answers=False)
    assert await without.next() == {"type": "websocket.close", "code": 1008}
    await without.leave()


async def test_a_socket_for_anyone_says_so(app: FastAPI, login: Login) -> None:
    socket = await opened(app, "/anyone")
    assert (await socket.next())["text"] == "nobody"
    await socket.leave()


async def test_pages_of_other_origins_open_no_socket(app: FastAPI) -> None:
    assert await refusal(app, "/anyone", origin="https://evil.example.org") == 403
    assert await refusal(app, "/anyone", origin="null") == 403
    for own in ("https://shop.example.org", "http://localhost:3000"):
        await (await opened(app, "/anyone", origin=own)).leave()


@pytest.mark.parametrize("path", ["/id", "/email"])
async def test_a_socket_ends_with_its_session(app: FastAPI, login: Login, path: str) -> None:
    ada = await login()
    socket = await opened(app, path, **bearer(ada))
    await ada.client.delete(f"{AUTH}/sessions?all=true")
    closed = await socket.say("who?")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    await socket.leave()


@pytest.mark.parametrize(("fails", "code"), [("bug", 1011), ("conflict", 1008)])
async def test_an_error_closes_the_socket(app: FastAPI, fails: str, code: int) -> None:
    socket = await opened(app, "/broken")
    closed = await socket.say(fails)
    assert (closed["type"], closed["code"]) == ("websocket.close", code)
    await socket.leave()


async def test_a_client_that_leaves_is_no_error(app: FastAPI, login: Login) -> None:
    socket = await opened(app, "/id", **bearer(await login()))
    with capture_logs() as others, logged(request_log) as lines:
        await socket.leave()
    (line,) = lines
    assert (line["event"], line["log_level"], line["method"]) == ("socket", "info", "WS")
    assert (line["status"], line["route"], line["path"]) == (101, "/live/id", "/live/id")
    assert "user_id" in line
    assert others == []


async def test_handshakes_are_counted(app: FastAPI) -> None:
    for _ in range(5):
        await (await opened(app, "/anyone")).leave()
    assert await refusal(app, "/anyone") == 429
    await (await opened(app, "/rare")).leave()


async def test_a_plain_route_has_a_limit_class_of_its_own(app: FastAPI) -> None:
    async with client_of(app) as client:
        answers = [await client.post("/live/rare", json={"a": "b"}) for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"rare";q=2;w=60'
        problem(answers[2], 429, "rate_limited")
        assert (await client.get("/live/none")).status_code == 404
    async with client_of(app) as client:
        large = {"a": "b" * 20_000}
        problem(await client.post("/live/rare", json=large), 413)


async def test_limit_classes_of_routers_have_names_of_their_own(settings: Settings) -> None:
    twin = APIRouter()
    other = LimitClass("rare", lambda settings: Rate(1, 60))

    @twin.get("/twin", dependencies=[limited_by(other), Depends(lambda: None)])
    async def get_twin() -> None: ...

    with pytest.raises(BootError) as refused:
        create_app(settings, routers=[router, twin], worker=False)
    assert {fault.code for fault in refused.value.faults} == {Code.ROUTE_LIMIT_TWICE}
