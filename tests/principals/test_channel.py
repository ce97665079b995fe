"""Shows that a stopping channel first delivers pending changes, and when it logs a loss."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import pytest

from backstay.core.clock import utc_now
from backstay.core.principal import Principal
from backstay.db.listener import Listener
from backstay.principals import channel as channel_module
from backstay.principals.cache import PrincipalCache
from backstay.principals.channel import DatabasePrincipals
from backstay.testing.waiting import eventually
from tests.logs import logged

pytestmark = pytest.mark.anyio


async def nobody(_: UUID) -> Principal | None:
    return None


class HeldListener(Listener):
    """A listener whose first heartbeat lasts until the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.beats, self.ends = 0, False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        yield

    async def beat(self) -> None:
        self.beats += 1
        self.begun.set()
        await self.go.wait()
        if self.ends:
            raise ConnectionError("the database stops, too")


def channel_on(listener: Listener) -> DatabasePrincipals:
    cache = PrincipalCache(nobody, monotonic=monotonic, clock=utc_now)
    return DatabasePrincipals(cache, listener, lambda _: None)


async def test_a_stop_during_a_heartbeat_causes_one_more() -> None:
    held = HeldListener()
    channel = channel_on(held)
    await channel.start()
    await held.begun.wait()
    stopping = asyncio.create_task(held.stop())
    await asyncio.sleep(0)
    held.go.set()
    await stopping
    assert held.beats == 2


@pytest.mark.parametrize("is_stopping", [True, False])
async def test_a_lost_connection_is_logged_except_during_a_stop(is_stopping: bool) -> None:
    held = HeldListener()
    held.ends = True
    channel = channel_on(held)
    with logged(channel_module) as logs:
        await channel.start()
        await held.begun.wait()
        stopping = asyncio.create_task(held.stop()) if is_stopping else None
        await asyncio.sleep(0)
        held.go.set()
        await (stopping or eventually(lambda: logs))
        await held.stop()
    told = [(entry["event"], entry["reason"]) for entry in logs]
    reason = "ConnectionError: the database stops, too"
    assert told == ([] if is_stopping else [("principal channel lost", reason)])
