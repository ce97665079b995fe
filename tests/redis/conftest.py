"""Fixtures: Redis clients, their timeouts, and the clock of their caches."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from backstay.caching import memory as cache_memory
from backstay.db import listener as listener_module
from backstay.redis import client as redis_client
from backstay.redis.client import RedisLink
from backstay.testing.waiting import LIMIT
from tests.clocks import StandingClock
from tests.faults.proxy import Wire, wire_to
from tests.redis.linking import Open, be_patient, link_to
from tests.services.valkey import ValkeyServer


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the timeouts of Redis calls, so that a slow machine causes no failure."""
    be_patient(monkeypatch)


@pytest.fixture
def without_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch heartbeats off, except the one at the begin of a connection."""
    for module in (redis_client, listener_module):
        monkeypatch.setattr(module, "BEAT_SECONDS", LIMIT)


@pytest.fixture
async def linked() -> AsyncIterator[Open]:
    """Opens Redis clients, which are stopped in the end."""
    async with AsyncExitStack() as opened:

        async def open_one(*arguments: object) -> RedisLink:
            link = link_to(*arguments)  # type: ignore[arg-type]
            await link.start()
            opened.push_async_callback(link.stop)
            return link

        yield open_one


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    """A standing clock for every cache in this process: entries do not age."""
    clock = StandingClock()
    monkeypatch.setattr(cache_memory, "monotonic", clock)
    return clock


@pytest.fixture
async def wire(valkey: ValkeyServer) -> AsyncIterator[Wire]:
    """A TCP proxy to Valkey; at its `url` the server can be cut off."""
    async with wire_to(valkey.url) as (wire, _):
        yield wire
