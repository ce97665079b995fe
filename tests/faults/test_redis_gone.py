"""Shows that the application keeps serving and limiting without Redis, and reports it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.observability import health as health_module
from backstay.redis.client import RedisLink
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL, FrozenClock, client_of, settings_with
from backstay.testing.waiting import LIMIT, eventually
from tests.faults.conftest import Running, signed_in
from tests.faults.proxy import Wire
from tests.features.steps import API, AUTH, ME, sign_in
from tests.files import well
from tests.redis.linking import PATIENCE, be_patient, vain_commands
from tests.services.valkey import ValkeyServer

BOUND = 0.25
"""Seconds that a request may wait for Redis."""
WRONG = {"email": ADMIN_EMAIL, "password": "not the password"}


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


class OnRedis(Running):
    """A running application whose limits are counted by Redis, behind a TCP proxy."""

    valkey: ValkeyServer
    wire: Wire

    @property
    def link(self) -> RedisLink:
        (link,) = self.backstay.links._links.values()
        return link

    async def cache(self) -> tuple[int, str, str]:
        """The status code, status and cache check of /health."""
        answer = await self.client.get("/health")
        return answer.status_code, answer.json()["status"], answer.json()["checks"]["cache"]

    async def wait_for_health(self, state: str) -> None:
        """Wait until /health reports this state with status 200."""
        status = well(self.backstay.database.options) if state == "ok" else state

        async def is_said() -> bool:
            return await self.cache() == (200, status, state)

        await eventually(is_said)

    async def wait_until_counted(self) -> None:
        """Wait until Redis counts a request."""
        self.valkey.call("CONFIG", "RESETSTAT")

        async def is_counted() -> bool:
            assert (await self.client.get(ME)).status_code == 200
            return self.valkey.calls_of("evalsha") + self.valkey.calls_of("eval") > 0

        await eventually(is_counted)


@pytest.fixture
def limited(seeded_url: str, tmp_path: Path, wire: Wire) -> Settings:
    return settings_with(
        seeded_url,
        tmp_path,
        REDIS_URL=wire.url,
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_DEFAULT="100000",
        SECURITY_LOGIN_RATE_LIMIT="6/hour",
    )


@asynccontextmanager
async def on(
    settings: Settings, clock: FrozenClock
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An application and a client."""
    app: Any = create_app(settings, clock=clock, worker=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield app, client


@pytest.fixture
async def served(
    valkey: ValkeyServer,
    wire: Wire,
    limited: Settings,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[OnRedis]:
    monkeypatch.setattr(health_module, "PATIENCE", LIMIT)
    async with on(limited, clock) as (app, client):
        await signed_in(app, client)
        served = OnRedis(app, client)
        served.valkey, served.wire = valkey, wire
        yield served


@asynccontextmanager
async def visited(served: OnRedis) -> AsyncIterator[None]:
    """Two clients send requests all the time; every request must succeed."""
    statuses: Counter[int] = Counter()

    async def visit() -> None:
        while True:
            statuses[(await served.client.get(ME)).status_code] += 1
            await asyncio.sleep(0.005)

    visitors = [asyncio.create_task(visit()) for _ in range(2)]
    try:
        yield
    finally:
        for visitor in visitors:
            visitor.cancel()
        await asyncio.gather(*visitors, return_exceptions=True)
    assert statuses.keys() == {200}


@asynccontextmanager
async def killed(served: OnRedis) -> AsyncIterator[None]:
    await asyncio.to_thread(served.valkey.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(served.valkey.start)


@asynccontextmanager
async def slow(served: OnRedis) -> AsyncIterator[None]:
    served.wire.delay = 2 * PATIENCE
    yield
    served.wire.delay = 0.0


@asynccontextmanager
async def swallowed(served: OnRedis) -> AsyncIterator[None]:
    served.wire.jam()
    yield
    served.wire.unjam()


@asynccontextmanager
async def frozen(served: OnRedis) -> AsyncIterator[None]:
    with served.valkey.frozen():
        yield


@asynccontextmanager
async def full(served: OnRedis) -> AsyncIterator[None]:
    await asyncio.to_thread(served.valkey.call, "CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        await asyncio.to_thread(served.valkey.call, "CONFIG", "SET", "maxmemory", "0")


Fault = Callable[[OnRedis], AbstractAsyncContextManager[None]]
"""These run in a thread, so that they do not block the event loop."""


@pytest.mark.parametrize("fault", [killed, frozen, slow, swallowed, full])
async def test_requests_are_served_without_redis_and_health_reports_it(
    served: OnRedis, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with visited(served):
        async with fault(served):
            await served.wait_for_health("degraded")
            assert (await served.client.get("/readyz")).status_code == 200
            await eventually(lambda: nobody_waits(served))
            be_patient(monkeypatch)
        await served.wait_for_health("ok")
        await served.wait_until_counted()


async def nobody_waits(served: OnRedis) -> bool:
    """Whether requests send nothing to Redis, and so do not wait for it."""
    failed, spared = vain_commands(served.link)
    for _ in range(5):
        assert (await served.client.get(ME)).status_code == 200
    now_failed, now_spared = vain_commands(served.link)
    return now_failed == failed and now_spared >= spared + 5


@pytest.mark.usefixtures("patient", "without_beats")
async def test_a_restart_or_a_flush_loses_no_request(served: OnRedis) -> None:
    async with visited(served):
        await served.wait_until_counted()
        before, _ = vain_commands(served.link)
        await asyncio.to_thread(served.valkey.restart)
        await served.wait_for_health("ok")
        await served.wait_until_counted()
        restarted, _ = vain_commands(served.link)
        assert restarted - before <= 2  # what the visitors had asked just then
        await asyncio.to_thread(served.valkey.flush)
        await served.wait_until_counted()
        assert vain_commands(served.link)[0] == restarted


async def logins(client: httpx.AsyncClient, times: int) -> list[int]:
    return [(await client.post(f"{AUTH}/login", json=WRONG)).status_code for _ in range(times)]


async def test_without_redis_logins_are_limited_more_strictly(
    valkey: ValkeyServer, limited: Settings, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on(limited, clock) as (app, client):
        served = OnRedis(app, client)
        with valkey.frozen():
            assert await logins(client, 6) == [401] * 3 + [429] * 3
            be_patient(monkeypatch)
        await eventually(lambda: served.link.is_up)
        after = await logins(client, 7)  # one may have been counted late
    assert after in ([401] * 6 + [429], [401] * 5 + [429] * 2)


async def test_without_redis_the_general_limit_still_holds(
    valkey: ValkeyServer, seeded_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    settings = settings_with(
        seeded_url,
        tmp_path,
        REDIS_URL=valkey.url,
        RATE_LIMIT_ENABLED="true",
        RATE_LIMIT_DEFAULT="5",
        RATE_LIMIT_PERIOD="3600",
    )
    async with on(settings, clock) as (_, client):
        with valkey.frozen():
            answers = [await client.get(f"{API}/system/ping") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2


@pytest.mark.usefixtures("patient")
async def test_the_application_starts_without_redis(
    valkey: ValkeyServer, limited: Settings, clock: FrozenClock
) -> None:
    valkey.kill()
    async with on(limited, clock) as (app, client):
        served = OnRedis(app, client)
        served.valkey = valkey
        await signed_in(app, client)
        assert await served.cache() == (200, "degraded", "degraded")
        valkey.start()
        await served.wait_for_health("ok")
        await served.wait_until_counted()


@pytest.mark.usefixtures("patient", "without_beats")
async def test_a_request_is_one_round_trip(served: OnRedis) -> None:
    await served.wait_until_counted()
    served.valkey.call("CONFIG", "RESETSTAT")
    for _ in range(20):
        await served.client.get(ME)
    reads, scripts = served.valkey.reads(), served.valkey.calls_of("evalsha")
    assert scripts == 20
    assert 20 <= reads <= 28  # with those of the questions asked here


async def log_in(served: OnRedis) -> httpx.Response:
    return await sign_in(served.client, ADMIN_EMAIL)


async def list_anew(served: OnRedis) -> httpx.Response:
    return await served.client.get(f"{API}/items", params={"title": "new"})


@pytest.mark.usefixtures("patient", "without_beats")
@pytest.mark.parametrize("ask", [log_in, list_anew])
async def test_the_round_trips_of_a_request_take_under_250_ms(
    served: OnRedis, ask: Callable[[OnRedis], Awaitable[httpx.Response]]
) -> None:
    await served.wait_until_counted()
    served.valkey.call("SCRIPT", "FLUSH")  # which costs another round trip
    reads = [served.valkey.reads() for _ in range(2)]
    assert (await ask(served)).status_code == 200
    question = reads[1] - reads[0]
    trips = served.valkey.reads() - reads[1] - question
    assert trips > 2
    assert trips * PATIENCE < BOUND


async def test_metrics_show_that_redis_is_down(served: OnRedis) -> None:
    with served.valkey.frozen():
        await served.wait_for_health("degraded")
        text = (await served.client.get("/metrics")).text
    (line,) = (line for line in text.splitlines() if line.startswith("backstay_redis_up{"))
    assert line.endswith(" 0.0")
    assert served.valkey.password not in text
