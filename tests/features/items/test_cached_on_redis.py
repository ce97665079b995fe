"""Shows answers cached on a real Valkey: shared by processes, in one round trip, unforgeable."""

import pickle
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from backstay.caching.redis import RedisCache
from backstay.composition import Backstay
from backstay.redis import connection as redis_connection
from backstay.testing import FrozenClock, Person
from tests.features.items.conftest import ITEMS, Make
from tests.features.items.test_cached import Count, reads, told_only, wait_for_title  # noqa: F401
from tests.features.steps import API, running
from tests.services.valkey import ValkeyServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("patient"),
    pytest.mark.parametrize("database_kind", ["sqlite"]),
]
LIMIT = 60


@pytest.fixture
def variables(valkey: ValkeyServer) -> dict[str, str]:
    return {
        "REDIS_URL": valkey.url,
        "RATE_LIMIT_ENABLED": "true",
        "RATE_LIMIT_DEFAULT": str(LIMIT),
        "RATE_LIMIT_PERIOD": "86400",
        "SECURITY_LOGIN_RATE_LIMIT": "100/minute",
        "SECURITY_REGISTER_RATE_LIMIT": "100/minute",
    }


@pytest.fixture
def cache(backstay: Backstay) -> RedisCache:
    assert isinstance(backstay.cache, RedisCache)
    return backstay.cache


@pytest.mark.usefixtures("told_only")
async def test_a_write_by_another_process_is_seen_at_once(
    ada: Person, make: Make, backstay: Backstay, clock: FrozenClock
) -> None:
    item = await make(ada)
    headers = dict(ada.client.headers)
    async with running(backstay.settings, clock) as other:
        for title in ("one", "two"):
            await ada.client.get(item["path"])
            await ada.client.get(ITEMS)
            changed = await other.patch(item["path"], json={"title": title}, headers=headers)
            assert changed.status_code == 200
            assert (await other.get(item["path"], headers=headers)).json()["title"] == title
            await wait_for_title(ada, item["path"], title)
            (listed,) = (await ada.client.get(ITEMS)).json()["items"]
            assert listed["title"] == title


async def test_an_answer_kept_by_one_process_serves_another(
    ada: Person,
    make: Make,
    backstay: Backstay,
    clock: FrozenClock,
    reads: Count,  # noqa: F811
) -> None:
    item = await make(ada)
    headers = dict(ada.client.headers)
    async with running(backstay.settings, clock) as other:
        answer = await other.get(item["path"], headers=headers)
    reads()
    again = await ada.client.get(item["path"])
    assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])
    assert reads() == 0


async def test_another_version_of_the_code_reads_nothing_of_this_one(
    ada: Person,
    make: Make,
    backstay: Backstay,
    clock: FrozenClock,
    reads: Count,  # noqa: F811
) -> None:
    item = await make(ada)
    headers, settings = dict(ada.client.headers), backstay.settings
    newer = settings.model_copy(
        update={"app": settings.app.model_copy(update={"version": "9.9.9"})}
    )
    async with running(newer, clock) as other:
        assert (await other.get(item["path"], headers=headers)).status_code == 200
    reads()
    assert (await ada.client.get(item["path"])).status_code == 200
    assert reads() == 1


async def test_a_cache_hit_shares_its_round_trip_with_the_limiter(
    ada: Person,
    make: Make,
    cache: RedisCache,
    valkey: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = await make(ada)
    await ada.client.get(item["path"])
    cache.memory.entries.most = 0
    cache.memory.forget_all()
    sent: list[bytes] = []
    send = AbstractConnection.send_packed_command

    async def note(connection: AbstractConnection, batch: list[bytes], **options: Any) -> None:
        sent.append(b"".join(batch))
        await send(connection, batch, **options)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", note)
    valkey.call("CONFIG", "RESETSTAT")
    for _ in range(20):
        answer = await ada.client.get(item["path"])
        assert answer.status_code == 200
        assert "ratelimit" in answer.headers
    assert (valkey.calls_of("evalsha"), valkey.calls_of("mget")) == (20, 20)
    assert sum(b"EVALSHA" in batch and b"MGET" in batch for batch in sent) == 20


async def test_requests_over_the_limit_get_no_cached_answer(
    ada: Person, make: Make, cache: RedisCache
) -> None:
    item = await make(ada)
    wrong = f"{item['path']}?nope=1"
    remaining = []
    for path in (item["path"], wrong, f"{ITEMS}/{'0' * 8}", item["path"]):
        answer = await ada.client.get(path)
        remaining.append(int(answer.headers["x-ratelimit-remaining"]))
    assert remaining == list(range(remaining[0], remaining[0] - 4, -1))
    statuses = {(await ada.client.get(item["path"])).status_code for _ in range(LIMIT)}
    assert statuses == {200, 429}
    for path in (item["path"], wrong):
        refused = await ada.client.get(path)
        assert refused.status_code == 429
        assert refused.json()["code"] == "rate_limited"
        assert refused.headers["cache-control"] == "no-store"


async def test_forbidden_requests_count_against_the_limit(ada: Person) -> None:
    path = f"{API}/rbac/permissions"
    statuses = [(await ada.client.get(path)).status_code for _ in range(LIMIT + 1)]
    assert statuses[0] == 403
    assert statuses[-1] == 429


async def test_planted_bytes_are_a_cache_miss(
    ada: Person, make: Make, cache: RedisCache, valkey: ValkeyServer
) -> None:
    item = await make(ada)
    await ada.client.get(item["path"])
    (key,) = (await cache._link.call("KEYS", "*:entry:*"))[:1]
    for planted in (pickle.dumps([1]), b"", b"\x00" * 50, b'{"title": "forged"}'):
        await cache._link.call("SET", key, planted)
        cache.memory.forget_all()
        answer = await ada.client.get(item["path"])
        assert (answer.status_code, answer.json()["title"]) == (200, "Sextant")


async def test_requests_are_answered_while_redis_hangs(
    ada: Person, make: Make, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = await make(ada)
    monkeypatch.setattr(redis_connection, "PATIENCE", 0.05)
    with valkey.frozen():
        for _ in range(3):
            assert (await ada.client.get(item["path"])).status_code == 200
        changed = await ada.client.patch(item["path"], json={"title": "new"})
        assert changed.status_code == 200
        assert (await ada.client.get(item["path"])).json()["title"] == "new"
