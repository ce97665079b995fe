"""Shows that a stream ends with its client and with its right, and breaks visibly."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.core.errors import Unavailable
from backstay.core.feature import Feature
from backstay.db import streaming
from backstay.testing import Login
from backstay.testing.waiting import eventually
from backstay.web import streams
from tests.features.conftest import trail  # noqa: F401
from tests.features.steps import AUTH, needs
from tests.web.exports import (
    Exchange,
    broken,
    exports,
    fill,
    reads,
    source,
    take_grant,
)

pytestmark = [pytest.mark.anyio, needs("items")]


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, exports()]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "ROWS_PER_BATCH", 10)


@pytest.mark.parametrize("way", ["session", "grant"])
async def test_a_stream_ends_with_the_right_to_it(
    app: FastAPI, login: Login, backstay: Backstay, way: str
) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(50)])
    exchange = Exchange(app, "/exports/items.jsonl", ada)

    async def taken() -> None:
        if len(exchange.sent) == 3:
            if way == "grant":
                await take_grant(backstay)
            else:
                await ada.client.delete(f"{AUTH}/sessions?all=true")

    exchange.taken = taken  # type: ignore[method-assign]
    cause = await broken(exchange)
    assert cause["code"] == {"session": "auth_error", "grant": "forbidden"}[way]
    assert exchange.body.count(b"\n") == 20


@pytest.mark.parametrize("error", [ZeroDivisionError, Unavailable])
async def test_a_late_failure_breaks_the_transfer(app: FastAPI, error: type[Exception]) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise error

    source[:] = [half]
    exchange = Exchange(app, "/exports/chunks")
    cause = await broken(exchange)
    assert exchange.body == b"half"
    assert cause["code"] in {"internal_error", "unavailable"}
    disposition = dict(exchange.sent[0]["headers"])[b"content-disposition"]
    assert disposition == b"attachment; filename*=UTF-8''%C3%9Cbersicht.bin"


async def test_a_client_that_leaves_ends_the_work(app: FastAPI) -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    source[:] = [endless]
    exchange = Exchange(app, "/exports/chunks")
    task = asyncio.create_task(exchange.run())
    await eventually(lambda: exchange.body)
    assert not ended
    exchange.left.set()
    await task
    assert ended == ["ended"]
    assert not exchange.is_complete


async def test_pieces_that_wait_for_nothing_end_with_the_client(app: FastAPI) -> None:
    exchange = Exchange(app, "/exports/chunks")
    made: list[int] = []

    async def eager() -> AsyncIterator[bytes]:
        for number in range(10_000):
            made.append(number)
            exchange.left.set()
            yield b"piece"

    source[:] = [eager]
    await exchange.run()
    assert len(made) < 10
    assert not exchange.is_complete


async def test_a_client_that_takes_nothing_is_left(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"

    source[:] = [two]
    monkeypatch.setattr(streams, "TAKE_SECONDS", 0.0)
    exchange = Exchange(app, "/exports/chunks")

    async def taken() -> None:
        if exchange.body:
            await asyncio.Event().wait()

    exchange.taken = taken  # type: ignore[method-assign]
    await exchange.run()
    assert exchange.body == b"first"
    assert not exchange.is_complete


async def test_rows_are_not_read_for_a_client_that_left(
    app: FastAPI, login: Login, backstay: Backstay
) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(200)])
    exchange = Exchange(app, "/exports/items.csv", ada)

    async def taken() -> None:
        if len(exchange.sent) == 2:
            exchange.left.set()
            await asyncio.Event().wait()  # as a server that waits for its client

    exchange.taken = taken  # type: ignore[method-assign]
    async with reads(backstay) as seen:
        await exchange.run()
    assert len(seen) == 1
