"""Shows that the application serves on and limits on whatever happens to Redis, and says so."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.adapters import redis_connection
from backstay.adapters.redis_link import RedisLink
from backstay.main import create_app
from backstay.settings import Settings
from tests.conftest import ADMIN_EMAIL, FrozenClock, client_of, settings_with
from tests.faults.conftest import Running, signed_in
from tests.faults.proxy import Wire, wire_to
from tests.faults.waiting import Load, until
from tests.features.steps import API, AUTH, ME, sign_in
from tests.services.valkey import ValkeyServer

LIMIT = 100_000
BOUND = 0.25
TOLD_WITHIN = 5.0
WRONG = {"email": ADMIN_EMAIL, "password": "not the password"}


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


class OnRedis(Running):
    """A running application whose limits are counted by Redis, at the end of a wire."""

    valkey: ValkeyServer
    wire: Wire
    neighbour: httpx.AsyncClient
    """An application without Redis, as busy and on the same machine."""

    async def cache(self) -> tuple[int, str, str]:
        """What /health says."""
        answer = await self.client.get("/health")
        return answer.status_code, answer.json()["status"], answer.json()["checks"]["cache"]

    async def until(self, state: str) -> None:
        """Wait until /health says so, which must not take long, and is no error."""
        deadline = time.monotonic() + TOLD_WITHIN
        while (said := await self.cache()) != (200, state, state):
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.02)


@pytest.fixture
async def served(
    valkey: ValkeyServer, seeded_url: str, tmp_path: Path, clock: FrozenClock
) -> AsyncIterator[OnRedis]:
    async with wire_to(valkey.url) as (wire, redis_url):
        settings = settings_with(
            seeded_url,
            tmp_path,
            REDIS_URL=redis_url,
            RATE_LIMIT_ENABLED="true",
            RATE_LIMIT_DEFAULT=str(LIMIT),
            SECURITY_LOGIN_RATE_LIMIT="6/hour",
        )
        without = settings_with(seeded_url, tmp_path)
        async with on(settings, clock) as (app, client), on(without, clock) as (_, neighbour):
            served = OnRedis(app, client)
            served.valkey, served.wire, served.neighbour = valkey, wire, neighbour
            yield served


@asynccontextmanager
async def on(
    settings: Settings, clock: FrozenClock
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An application, and a client who has signed in."""
    app: Any = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await signed_in(app, client)
        yield app, client


async def under_load(served: OnRedis, harm: Callable[[], Awaitable[None]]) -> None:
    """What takes longer than at the neighbour's, who asks the database, is due to Redis.

    On a busy machine that may be by chance once or twice, but hardly three times.
    """
    for _ in range(3):
        load, usual = Load(served.client, ME), Load(served.neighbour, f"{API}/items")
        workers = [asyncio.create_task(each.work()) for each in (load, usual) for _ in range(3)]
        await asyncio.sleep(0.3)
        await harm()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert load.statuses.keys() == usual.statuses.keys() == {200}
        if load.longest < BOUND + usual.longest:
            return
    raise AssertionError(f"{load.longest} s against {usual.longest} s without Redis")


@asynccontextmanager
async def killed(served: OnRedis) -> AsyncIterator[None]:
    await asyncio.to_thread(served.valkey.kill)
    yield
    await asyncio.to_thread(served.valkey.start)


@asynccontextmanager
async def slow(served: OnRedis) -> AsyncIterator[None]:
    served.wire.delay = 0.1
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
    yield
    await asyncio.to_thread(served.valkey.call, "CONFIG", "SET", "maxmemory", "0")


Fault = Callable[[OnRedis], AbstractAsyncContextManager[None]]
"""Done beside the event loop: what it would hold up is what is measured."""


@pytest.mark.parametrize("fault", [killed, frozen, slow, swallowed, full])
async def test_requests_are_served_meanwhile_and_health_tells_it(
    served: OnRedis, fault: Fault
) -> None:
    async def harm() -> None:
        async with fault(served):
            await served.until("degraded")
            assert (await served.client.get("/readyz")).status_code == 200
            await asyncio.sleep(0.5)
        await served.until("ok")
        await asyncio.sleep(0.2)

    await served.until("ok")
    await under_load(served, harm)
    await counted_by_redis(served)


async def counted_by_redis(served: OnRedis) -> None:
    """Wait until it is; a busy machine may lose Redis once more."""
    deadline = time.monotonic() + TOLD_WITHIN
    served.valkey.call("CONFIG", "RESETSTAT")
    while served.valkey.calls_of("evalsha") + served.valkey.calls_of("eval") == 0:
        assert time.monotonic() < deadline
        assert (await served.client.get(ME)).status_code == 200
        await asyncio.sleep(0.02)


async def test_a_restart_and_a_flush_are_hardly_noticed(served: OnRedis) -> None:
    async def harm() -> None:
        for act in (served.valkey.restart, served.valkey.flush):
            await asyncio.to_thread(act)
            await served.until("ok")
            await asyncio.sleep(0.3)

    await under_load(served, harm)
    await counted_by_redis(served)


async def logins(served: OnRedis, times: int) -> list[int]:
    path = f"{AUTH}/login"
    return [(await served.client.post(path, json=WRONG)).status_code for _ in range(times)]


async def test_logins_are_limited_more_strictly_meanwhile(
    served: OnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served.valkey.frozen():
        meanwhile = await logins(served, 6)  # one may have been used to sign in
    assert meanwhile in ([401] * 3 + [429] * 3, [401] * 2 + [429] * 4)
    monkeypatch.setattr(redis_connection, "PATIENCE", 2.0)  # busy machines do not lose it again
    await served.until("ok")
    after = await logins(served, 6)  # one was used to sign in, one may have been counted late
    assert after in ([401] * 6, [401] * 5 + [429], [401] * 4 + [429] * 2)


async def test_a_general_limit_holds_meanwhile(
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
    app: Any = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        with valkey.frozen():
            answers = [await client.get(f"{API}/system/ping") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2


async def test_the_application_starts_without_redis(
    valkey: ValkeyServer, seeded_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    settings = settings_with(seeded_url, tmp_path, REDIS_URL=valkey.url, RATE_LIMIT_ENABLED="true")
    valkey.kill()
    app: Any = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        served = OnRedis(app, client)
        served.valkey = valkey
        await signed_in(app, client)
        assert await served.cache() == (200, "degraded", "degraded")
        valkey.start()
        await served.until("ok")
        await counted_by_redis(served)


async def test_a_request_is_one_round_trip(served: OnRedis) -> None:
    link = link_of(served)
    for _ in range(3):
        await counted_by_redis(served)
        served.valkey.call("CONFIG", "RESETSTAT")
        before = link._connection
        for _ in range(50):
            await served.client.get(ME)
        if link._connection is before:  # else Redis was lost on a busy machine
            break
    reads, scripts = served.valkey.reads(), served.valkey.calls_of("evalsha")
    beats = served.valkey.calls_of("ping")
    assert scripts == 50
    assert 50 <= reads - beats <= 58  # with those of the questions asked here


def link_of(served: OnRedis) -> RedisLink:
    (link,) = served.backstay.links._links.values()
    return link


async def log_in(client: httpx.AsyncClient, _: str) -> httpx.Response:
    return await sign_in(client, ADMIN_EMAIL)


async def list_anew(client: httpx.AsyncClient, title: str) -> httpx.Response:
    return await client.get(f"{API}/items", params={"title": title})


Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


async def taken(client: httpx.AsyncClient, ask: Ask, title: str) -> float:
    started = time.perf_counter()
    answer = await ask(client, title)
    if answer.status_code == 429:
        return 0.0  # Redis was lost, and fewer logins are allowed meanwhile
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started


@pytest.mark.parametrize("ask", [log_in, list_anew])
async def test_a_server_that_is_just_quick_enough_delays_nobody_for_long(
    served: OnRedis, ask: Ask
) -> None:
    link = link_of(served)
    usual = min([await taken(served.neighbour, ask, str(number)) for number in range(3)])
    served.wire.delay = 0.42 * redis_connection.PATIENCE
    delayed: list[float] = []
    for number in range(5):  # the limit of logins
        await until(lambda: link.is_up)
        served.valkey.call("SCRIPT", "FLUSH")  # which costs another round trip
        before = link._connection
        seconds = await taken(served.client, ask, str(number))
        if seconds and link._connection is before:  # else it was not quick enough here
            delayed.append(seconds)
    assert delayed
    assert 2 * redis_connection.PATIENCE < min(delayed) < BOUND + usual


async def test_metrics_tell_of_it(served: OnRedis) -> None:
    with served.valkey.frozen():
        await served.until("degraded")
        text = (await served.client.get("/metrics")).text
    (line,) = (line for line in text.splitlines() if line.startswith("backstay_redis_up{"))
    assert line.endswith(" 0.0")
    assert served.valkey.password not in text
