"""Shows that a cached principal is never older than promised, and that the cache is bounded."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from backstay.core.clock import new_id
from backstay.core.principal import Principal
from backstay.principals.cache import PrincipalCache
from tests.principals.sessions import START, Sessions

pytestmark = pytest.mark.anyio


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


async def test_without_a_channel_a_principal_is_reloaded_after_one_second(
    sessions: Sessions,
) -> None:
    cache, session = sessions.cache(), sessions.start()
    first = await cache.get(session)
    sessions.now = 0.999
    assert await cache.get(session) is first
    assert sessions.loads == 1
    sessions.now = 1.0
    sessions.level = 7
    again = await cache.get(session)
    assert again is not None
    assert (again.level, sessions.loads) == (7, 2)


async def test_the_age_counts_from_before_the_load(sessions: Sessions) -> None:
    async def slow(session_id: UUID) -> Principal | None:
        sessions.now += 0.8
        return await sessions.load(session_id)

    cache = sessions.cache_of(slow)
    session = sessions.start()
    await cache.get(session)
    sessions.now += 0.3
    await cache.get(session)
    assert sessions.loads == 2


async def test_a_principal_is_used_while_the_channel_is_complete(
    sessions: Sessions,
) -> None:
    cache, session = sessions.cache(), sessions.start()
    for sessions.now in (0.0, 0.9, 1.8, 2.7):
        await cache.get(session)
        cache.complete_until(sessions.now)
    assert sessions.loads == 1
    sessions.now = 3.6
    await cache.get(session)
    assert sessions.loads == 1
    sessions.now = 3.7
    await cache.get(session)
    assert sessions.loads == 2


async def test_no_principal_is_used_beyond_its_maximum_age(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    for sessions.now in (0.0, 59.9, 60.0):
        cache.complete_until(sessions.now)
        await cache.get(session)
    assert sessions.loads == 2


async def test_no_principal_is_used_past_the_end_of_its_session(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    sessions.valid_until = START + timedelta(seconds=0.5)
    for sessions.now in (0.0, 0.4, 0.5):
        await cache.get(session)
    assert sessions.loads == 2


async def test_an_ended_session_is_never_kept(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    await cache.get(session)
    del sessions.users[session]
    sessions.now = 2.0
    assert await cache.get(session) is None
    assert await cache.get(session) is None
    assert sessions.loads == 3


async def test_forgetting_a_user_drops_every_session_of_theirs_alone(sessions: Sessions) -> None:
    cache, user = sessions.cache(), new_id()
    theirs, others = [sessions.start(user), sessions.start(user)], sessions.start()
    for session in (*theirs, others):
        await cache.get(session)
    cache.forget([user, new_id()])
    for session in (*theirs, others):
        await cache.get(session)
    assert sessions.loads == 5


async def test_forgetting_all_drops_everything(sessions: Sessions) -> None:
    cache = sessions.cache()
    started = [sessions.start() for _ in range(3)]
    for session in started:
        await cache.get(session)
    cache.forget_all()
    for session in started:
        await cache.get(session)
    assert sessions.loads == 6


@pytest.mark.parametrize(
    "forget",
    [lambda cache, user: cache.forget([user]), lambda cache, _: cache.forget_all()],
    ids=["user", "all"],
)
async def test_a_principal_loaded_before_a_change_is_not_kept(
    sessions: Sessions, forget: Callable[[PrincipalCache, UUID], None]
) -> None:
    cache, session = sessions.cache(), sessions.start()
    sessions.gate = anyio.Event()
    seen: list[Principal | None] = []

    async def ask() -> None:
        seen.append(await cache.get(session))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        sessions.level = 7
        forget(cache, sessions.users[session])
        sessions.gate.set()
    assert [principal and principal.level for principal in seen] == [0]
    fresh = await cache.get(session)
    assert fresh is not None
    assert fresh.level == 7


async def test_a_full_cache_drops_its_oldest_entry(sessions: Sessions) -> None:
    cache = sessions.cache(size=2)
    oldest, middle, newest = (sessions.start() for _ in range(3))
    for session in (oldest, middle, newest, middle, newest):
        await cache.get(session)
    assert sessions.loads == 3
    await cache.get(oldest)
    assert sessions.loads == 4


async def test_nothing_is_kept_about_a_user_with_a_pending_change(sessions: Sessions) -> None:
    cache, session, other = sessions.cache(), sessions.start(), sessions.start()
    cache.distrust("change", {sessions.users[session]}, 30)
    for _ in range(2):
        await cache.get(session)
        await cache.get(other)
    assert sessions.loads == 3
    cache.trust("change")
    for _ in range(2):
        await cache.get(session)
    assert sessions.loads == 4


async def test_changes_of_an_impersonator_count_like_those_of_the_user(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    sessions.actor_id = new_id()
    await cache.get(session)
    cache.forget({sessions.actor_id})
    await cache.get(session)
    assert sessions.loads == 2
    cache.distrust("change", {sessions.actor_id}, 30)
    cache.forget({sessions.actor_id})
    for _ in range(2):
        await cache.get(session)
    assert sessions.loads == 4


async def test_distrust_of_everybody_ends_by_itself(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    cache.distrust("change", None, 30)
    for sessions.now in (0, 0.1, 29, 31, 31.1):
        await cache.get(session)
    assert sessions.loads == 4


async def test_one_finished_change_does_not_end_distrust_for_another(sessions: Sessions) -> None:
    cache, session = sessions.cache(), sessions.start()
    for name in ("one", "other"):
        cache.distrust(name, {sessions.users[session]}, 30)
    cache.trust("one")
    for _ in range(2):
        await cache.get(session)
    assert sessions.loads == 2


async def test_of_two_channels_the_more_complete_one_decides(
    sessions: Sessions,
) -> None:
    cache, session = sessions.cache(), sessions.start()
    await cache.get(session)
    sessions.now = 3.0
    cache.complete_until(2.9)
    cache.complete_until(0.5)
    await cache.get(session)
    assert sessions.loads == 1
