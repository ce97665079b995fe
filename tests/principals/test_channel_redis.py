"""Shows that changes reach every other process, and that a process notices missed ones."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from backstay.core.clock import new_id
from backstay.core.context import Context, PrincipalChanges, UnitOfWork
from backstay.principals.cache import PrincipalCache
from backstay.principals.channel_redis import RedisPrincipals
from backstay.testing.waiting import eventually
from tests.channels import SilentChannel
from tests.redis.linking import link_to
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.usefixtures("patient")

FORGED = '{"sender": "x", "users": [], "everyone": false, "name": "x", "pending": %s}'
COMMIT_SECONDS = 30.0


class Cache:
    """A principal cache that records the calls it gets."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.flushes = 0
        self.complete = 0.0

    def distrust(self, name: str, user_ids: Collection[UUID] | None, seconds: float) -> None:
        self.told.append(("distrust", name, user_ids, seconds))

    def trust(self, name: str) -> None:
        self.told.append(("trust", name))

    def forget(self, user_ids: Iterable[UUID]) -> None:
        self.told.append(("forget", user_ids))

    def forget_all(self) -> None:
        self.flushes += 1

    def complete_until(self, moment: float) -> None:
        self.complete = moment


class Peer(Cache):
    """A process on the channel: it announces changes and records those of others."""

    def __init__(self, valkey: ValkeyServer, name: str = "name") -> None:
        super().__init__()
        self.link = link_to(valkey.url)
        cache = cast(PrincipalCache, self)
        self.principals = RedisPrincipals(SilentChannel(), cache, self.link, name, COMMIT_SECONDS)

    async def announce(self, changes: PrincipalChanges) -> None:
        context: Any = SimpleNamespace(unit=UnitOfWork(None, changes))
        await self.principals.announce(cast(Context, context))


def changed(*user_ids: UUID) -> PrincipalChanges:
    changes = PrincipalChanges()
    changes.touch(*user_ids)
    return changes


def everyone() -> PrincipalChanges:
    changes = PrincipalChanges()
    changes.touch_everyone()
    return changes


Open = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def peer(valkey: ValkeyServer) -> AsyncIterator[Open]:
    async with AsyncExitStack() as opened:

        async def open_one(name: str = "name") -> Peer:
            one = Peer(valkey, name)
            await one.link.start()
            opened.push_async_callback(one.link.stop)
            return one

        yield open_one


async def test_messages_reach_other_processes_complete(peer: Open) -> None:
    one, other, third = await peer(), await peer(), await peer()
    changes = changed(new_id(), new_id())
    await one.announce(changes)
    await one.principals.publish(changes)
    name, users = changes.announced_as, frozenset(changes.user_ids)
    assert name
    expected = [
        *(("distrust", name, users, COMMIT_SECONDS), ("forget", users)),
        *(("trust", name), ("forget", users)),
    ]
    await eventually(lambda: other.told == third.told == expected)
    assert (one.told, one.flushes) == ([], 1)


async def test_a_message_about_everyone_empties_other_caches(peer: Open) -> None:
    one, other = await peer(), await peer()
    changes = everyone()
    await one.announce(changes)
    await eventually(lambda: other.flushes == 2)
    assert other.told == [("distrust", changes.announced_as, None, COMMIT_SECONDS)]
    assert (one.told, one.flushes) == ([], 1)


async def test_an_accepted_message_is_heard_before_the_next_completeness_proof(
    peer: Open,
) -> None:
    one, other = await peer(), await peer()
    await one.announce(everyone())
    sent = time.monotonic()
    await eventually(lambda: other.complete >= sent)
    assert len(other.told) == 1


async def test_each_new_connection_starts_with_a_flush(peer: Open, valkey: ValkeyServer) -> None:
    one = await peer()
    assert one.flushes == 1
    valkey.restart()
    await eventually(lambda: one.flushes == 2)
    valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: one.flushes == 3)


async def test_completeness_is_not_proven_while_the_server_hangs(
    peer: Open, valkey: ValkeyServer
) -> None:
    one = await peer()
    with valkey.frozen():
        frozen, connection = time.monotonic(), one.link._connection
        assert connection is not None
        await eventually(lambda: len(connection._waiting) > 0)
        assert one.complete < frozen
    await eventually(lambda: one.complete > frozen)


async def test_after_a_failed_publication_other_processes_flush_later(
    peer: Open, valkey: ValkeyServer
) -> None:
    one, other = await peer(), await peer()
    valkey.call("ACL", "SETUSER", "default", "-publish")
    try:
        await one.announce(changed(new_id()))
    finally:
        valkey.call("ACL", "SETUSER", "default", "+publish")
    before = other.flushes
    await eventually(lambda: other.flushes > before)
    assert [told for told, *_ in other.told] == ["trust"]
    assert one.flushes == 1


@pytest.mark.parametrize(
    "payload",
    [
        *("", "{", "[]", "7", "[" * 200_000, '{"sender": "x"}'),
        '{"sender": 1, "users": ["no id"], "everyone": 1}',
        *(FORGED % pending for pending in ("NaN", "Infinity", "-1", "1" + "0" * 400, "null")),
    ],
    ids=lambda payload: payload[:60],
)
async def test_an_unreadable_message_counts_as_any_change(
    peer: Open, valkey: ValkeyServer, payload: str
) -> None:
    one = await peer()
    connection = one.link._connection
    valkey.call("PUBLISH", one.principals._channel, payload)
    await eventually(lambda: one.flushes == 2)
    assert one.link._connection is connection


async def test_other_processes_distrust_no_longer_than_a_commit(
    peer: Open, valkey: ValkeyServer
) -> None:
    one = await peer()
    for pending in ("1e300", "5"):
        valkey.call("PUBLISH", one.principals._channel, FORGED % pending)
    await eventually(lambda: len(one.told) == 2)
    assert [seconds for *_, seconds in one.told] == [COMMIT_SECONDS, 5.0]


async def test_applications_of_one_database_do_not_hear_one_another(peer: Open) -> None:
    one, other, stranger = await peer(), await peer(), await peer("other")
    await one.announce(everyone())
    await eventually(lambda: len(other.told) == 1)
    sent = time.monotonic()
    await eventually(lambda: stranger.complete >= sent)
    assert (stranger.told, stranger.flushes) == ([], 1)


async def test_a_process_that_only_publishes_connects_at_its_first_message(
    peer: Open, valkey: ValkeyServer
) -> None:
    other, speaker = await peer(), Peer(valkey)
    user_id = new_id()
    await speaker.principals.publish(changed(user_id))
    await eventually(lambda: ("forget", frozenset({user_id})) in other.told)
    await speaker.principals.stop()
    await speaker.link.stop()
