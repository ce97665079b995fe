"""Shows that concurrent requests of a session load it once, and never a state before a change."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import anyio
import pytest

from backstay.core.clock import new_id
from backstay.core.principal import Principal
from backstay.principals.cache import PrincipalCache
from tests.principals.sessions import Sessions

pytestmark = pytest.mark.anyio


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


async def asked_twice(
    sessions: Sessions, cache: PrincipalCache, session: UUID, between: Callable[[], object]
) -> list[int | None]:
    """The levels that two callers get; the second asks while the first waits."""
    sessions.gate = anyio.Event()
    told: list[int | None] = []

    async def ask() -> None:
        principal = await cache.get(session)
        told.append(principal.level if principal else None)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        between()
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        sessions.gate.set()
    return told


async def test_concurrent_requests_of_one_session_load_it_once(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    assert await asked_twice(sessions, cache, session, lambda: None) == [0, 0]
    assert sessions.loads == 1
    cache.forget([sessions.users[session]])
    await cache.get(session)
    assert sessions.loads == 2


@pytest.mark.parametrize("change", ["forgotten", "distrusted", "old"])
async def test_a_request_after_a_change_starts_a_new_load(sessions: Sessions, change: str) -> None:
    cache, session = sessions.cache(), sessions.start()

    def between() -> None:
        sessions.level = 7
        if change == "forgotten":
            cache.forget_all()
        elif change == "distrusted":
            cache.distrust("change", {sessions.users[session]}, 30)
        else:
            sessions.now = 1.0

    assert await asked_twice(sessions, cache, session, between) == [0, 7]
    assert sessions.loads == 2


async def test_a_cancelled_request_does_not_cancel_the_others(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    sessions.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        first = anyio.CancelScope()

        async def give_up() -> None:
            with first:
                await cache.get(session)

        group.start_soon(give_up)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(cache.get, session)
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        sessions.gate.set()
    assert await cache.get(session) is not None
    assert sessions.loads == 1


async def test_a_load_error_reaches_every_waiter_and_is_not_kept(sessions: Sessions) -> None:
    session, answers = sessions.start(), [RuntimeError("gone"), None]

    async def load(_: UUID) -> Principal | None:
        await anyio.lowlevel.checkpoint()
        if error := answers.pop(0):
            raise error
        return Principal(user_id=new_id())

    cache = sessions.cache_of(load)
    told = await asyncio.gather(*(cache.get(session) for _ in range(3)), return_exceptions=True)
    assert [str(fault) for fault in told] == ["gone"] * 3
    assert await cache.get(session) is not None
