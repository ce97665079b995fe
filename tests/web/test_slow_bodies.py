"""Shows that a body must arrive, and at which rate."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import repeat

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from backstay.observability.metrics import PrometheusMetrics
from backstay.settings import Settings
from backstay.testing import Login
from backstay.testing.waiting import LIMIT
from backstay.web import middleware
from tests.features.steps import API, needs
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
BODY = b'{"title": "x"}'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.3)


async def _silent() -> AsyncIterator[bytes]:
    yield BODY[:1]
    await asyncio.Event().wait()


async def _dripping() -> AsyncIterator[bytes]:
    for part in repeat(b" "):
        yield part
        await asyncio.sleep(0.02)


@needs("items")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("body", [_silent, _dripping])
@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/auth/login"])
async def test_a_body_that_does_not_arrive_is_refused(
    login: Login, path: str, body: Callable[[], AsyncIterator[bytes]]
) -> None:
    person = await login()
    sent = person.client.post(path, content=body(), headers=JSON)
    answer = await asyncio.wait_for(sent, LIMIT)
    problem(answer, 408, "request_timeout")
    assert answer.headers["connection"] == "close"


async def test_a_client_that_sent_its_body_may_wait_long(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)
    messages: list[Message] = [{"type": "http.request", "body": b"x", "more_body": False}]
    heard: list[str] = []

    async def receive() -> Message:
        if not messages:
            await asyncio.sleep(0.2)
            return {"type": "http.disconnect"}
        return messages.pop()

    async def hear(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])

    async def send(message: Message) -> None:
        raise AssertionError(message)

    app = FastAPI(routes=[Mount("/", hear)])
    middleware.install(app, settings, PrometheusMetrics())
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"test")]}
    await app(scope, receive, send)
    assert heard == ["http.request", "http.disconnect"]
