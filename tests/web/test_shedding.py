"""Shows what clients get of an overloaded worker; when it is overloaded: test_overload.py."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from structlog.testing import capture_logs

from backstay.application import create_app
from backstay.settings import Settings
from backstay.testing import client_of
from backstay.testing.waiting import eventually
from backstay.web import overload
from backstay.web.overload import LONGEST_RETRY, Shedder
from tests.features.steps import API, AUTH, ME
from tests.observability.steps import scraped, value
from tests.web.exports import Exchange
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

MOST = 4
ORIGIN = "https://app.example.com"
SHED = "http_requests_shed_total"


@pytest.fixture
def variables() -> dict[str, str]:
    return {"SERVER_MAX_WAIT": "600", "APP_CORS_ORIGINS": ORIGIN, "SERVER_LOG": "true"}


class Held:
    """An application in which ``MOST`` requests wait until they may go on."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, go_on: asyncio.Event) -> None:
        self.app, self.client, self.go_on = app, client, go_on
        self.waiting = [asyncio.create_task(client.get("/waits")) for _ in range(MOST)]

    async def is_full(self) -> bool:
        return (await self.client.get(ME)).status_code == 503

    async def is_free(self) -> bool:
        return (await self.client.get(ME)).status_code == 401


@pytest.fixture
async def held(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Held]:
    """No turn counts as idle, so that the queue of the event loop always stands."""
    monkeypatch.setattr(overload, "FEWEST", MOST)
    monkeypatch.setattr(overload, "IDLE_TURN", 0)
    monkeypatch.setattr(Shedder, "limit", MOST)
    router, go_on = APIRouter(), asyncio.Event()

    @router.get("/waits")
    async def waits() -> str:
        await go_on.wait()
        return "done"

    @router.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()

    app = create_app(settings, routers=[router])
    async with app.router.lifespan_context(app), client_of(app) as client:
        held = Held(app, client, go_on)
        await eventually(held.is_full)
        yield held
        go_on.set()
        await asyncio.gather(*held.waiting, return_exceptions=True)


async def test_surplus_is_refused_while_others_finish(held: Held) -> None:
    refused = await held.client.get(ME, headers={"Origin": ORIGIN})
    found = problem(refused, 503, "overloaded")
    assert found["instance"] == ME
    assert found["request_id"] == refused.headers["x-request-id"]
    assert 1 <= int(refused.headers["retry-after"]) <= LONGEST_RETRY
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert refused.headers["x-content-type-options"] == "nosniff"
    held.go_on.set()
    assert [(await each).status_code for each in held.waiting] == [200] * MOST
    await eventually(held.is_free)


async def test_refusals_are_valid_json_whatever_the_path(held: Held) -> None:
    for path in ("/a%0Ab", "/%22%25s{id}", "/é"):
        problem(await held.client.get(path), 503, "overloaded")


async def test_clients_are_told_different_times_to_wait(held: Held) -> None:
    told = {(await held.client.get(ME)).headers["retry-after"] for _ in range(LONGEST_RETRY)}
    assert told == {f"{each}" for each in range(1, LONGEST_RETRY + 1)}


async def test_head_is_refused_without_a_body(held: Held) -> None:
    refused = await held.client.head(ME)
    assert (refused.status_code, refused.content) == (503, b"")
    assert int(refused.headers["content-length"]) > 0


async def test_a_preflight_is_answered(held: Held) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert (await held.client.options(ME, headers=asked)).status_code == 200
    assert (await held.client.options(ME)).status_code == 503


async def test_essential_routes_are_served(held: Held) -> None:
    expected = {
        ("GET", "/livez"): 200,
        ("HEAD", "/livez"): 200,
        ("GET", "/readyz"): 200,
        ("GET", "/health"): 200,
        ("GET", f"{API}/healthcheck"): 200,
        ("GET", "/metrics"): 200,
        ("POST", f"{AUTH}/logout"): 204,
        ("DELETE", f"{AUTH}/sessions"): 401,
        ("POST", f"{AUTH}/login"): 503,
        ("GET", f"{API}/nowhere"): 503,
    }
    found = {asked: (await held.client.request(*asked)).status_code for asked in expected}
    assert found == expected


async def test_a_refused_body_is_not_read(held: Held) -> None:
    exchange = Exchange(held.app, "/items")
    exchange.scope["method"] = "POST"

    async def read() -> Any:
        raise AssertionError("the body was read")

    exchange.receive = read  # type: ignore[method-assign]
    await exchange.run()
    assert exchange.sent[0]["status"] == 503


async def test_a_handshake_is_refused(held: Held) -> None:
    exchange = Exchange(held.app, "")
    exchange.scope.update(type="websocket", path="/socket", extensions={})
    await exchange.run()
    assert [each["type"] for each in exchange.sent] == ["websocket.close"]


async def test_refusals_are_counted_and_have_no_lines(held: Held) -> None:
    before = value(await scraped(held.client), SHED)
    with capture_logs() as logs:
        for _ in range(3):
            await held.client.get(ME)
    assert [each["event"] for each in logs if each.get("path") == ME] == []
    assert value(await scraped(held.client), SHED) == before + 3


async def test_cancelled_requests_make_room(held: Held) -> None:
    for each in held.waiting:
        each.cancel()
    await asyncio.gather(*held.waiting, return_exceptions=True)
    await eventually(held.is_free)


async def test_zero_refuses_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Shedder, "enter", never)
    without = settings.model_copy(
        update={"server": settings.server.model_copy(update={"max_wait": 0})}
    )
    async with client_of(create_app(without)) as client:
        assert (await client.get("/livez")).status_code == 200
