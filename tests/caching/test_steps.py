"""Shows for whom an answer is cached, and when commands invalidate it."""

from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, SecretStr

from backstay.caching.memory import MemoryCache
from backstay.caching.steps import RenderedContext
from backstay.core.caching import Cached
from backstay.core.errors import Conflict
from backstay.core.messages import Command, Query
from backstay.core.permissions import PUBLIC, Scope, Source
from backstay.core.principal import STRANGER, SYSTEM, Grant, Principal
from backstay.core.representation import Representation
from backstay.core.wiring import Code
from tests.caching.sample_queries import (
    DEPTHS,
    READ,
    Depth,
    GetDepth,
    GetHeir,
    GetRefused,
    GetShared,
    Harness,
    Sound,
    SoundAll,
    asked,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache(CollectorRegistry())


@pytest.fixture
def harness(cache: MemoryCache) -> Harness:
    DEPTHS.clear()
    asked.clear()
    return Harness(cache)


def somebody(number: int = 1, grant: Grant | None = None, **fields: Any) -> Principal:
    grants = {READ.key: grant or Grant(Scope.ANY)}
    return Principal(user_id=UUID(int=number), grants=grants, **fields)


async def test_an_answer_is_kept_per_user_and_query(harness: Harness) -> None:
    for _ in range(2):
        await harness.sender(somebody(1))(GetDepth(name="a"))
    assert asked == ["a"]
    await harness.sender(somebody(1))(GetDepth(name="b"))
    await harness.sender(somebody(2))(GetDepth(name="a"))
    await harness.sender()(GetDepth(name="a"))
    assert asked == ["a", "b", "a", "a"]


@pytest.mark.parametrize(
    "changed",
    [
        somebody(1, Grant(Scope.OWN)),
        somebody(1, Grant(Scope.ANY, denied={Source.QUERY: frozenset({"x"})})),
        somebody(1, Grant(Scope.ANY, allowed={Source.QUERY: frozenset({"name"})})),
        somebody(1, roles=("captain",)),
        somebody(1, level=3),
        somebody(1, is_superuser=True),
        somebody(1, tier="gold"),
        Principal(
            user_id=UUID(int=1),
            grants={READ.key: Grant(Scope.ANY), "harbours:read": Grant(Scope.OWN)},
        ),
    ],
)
async def test_callers_with_different_grants_get_different_answers(
    harness: Harness, changed: Principal
) -> None:
    await harness.sender(somebody(1))(GetDepth(name="a"))
    await harness.sender(changed)(GetDepth(name="a"))
    assert asked == ["a", "a"]


async def test_a_shared_answer_is_shared_by_those_with_scope_any(harness: Harness) -> None:
    own = Grant(Scope.OWN)
    for principal in (somebody(1), somebody(2, level=3), SYSTEM):
        await harness.sender(principal)(GetShared())
    assert asked == ["shared"]
    for principal in (somebody(1, own), somebody(2, own)):
        await harness.sender(principal)(GetShared())
    assert asked == ["shared"] * 3


async def test_answers_of_another_code_version_or_result_type_are_ignored(
    harness: Harness, cache: MemoryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.sender()(GetDepth(name="a"))
    await Harness(cache, "2").sender()(GetDepth(name="a"))
    assert asked == ["a", "a"]

    class Deeper(Depth):
        feet: int | None = None

    monkeypatch.setattr(GetDepth, "result_type", lambda: Deeper)
    await Harness(cache).sender()(GetDepth(name="a"))
    assert asked == ["a", "a", "a"]


async def test_a_command_outdates_what_it_touches_after_its_commit(harness: Harness) -> None:
    send = harness.sender(somebody(1))
    assert (await send(GetDepth(name="a"))).metres is None
    assert (await send(Sound(name="a", metres=4))).metres == 4
    assert (await send(GetDepth(name="a"))).metres == 4
    await send(GetDepth(name="b"))
    before = len(asked)
    await send(SoundAll(metres=5))
    assert [(await send(GetDepth(name=name))).metres for name in "ab"] == [5, 5]
    assert len(asked) == before + 4


async def test_inside_a_transaction_answers_are_neither_kept_nor_reused(harness: Harness) -> None:
    system = harness.sender()
    await system(GetDepth(name="a"))
    with pytest.raises(Conflict):
        await harness.sender(somebody(1))(Sound(name="a", metres=9, fails=True))
    assert (await system(GetDepth(name="a"))).metres is None
    assert asked == ["a"]
    assert (await harness.sender(somebody(1))(Sound(name="b", metres=1))).metres == 1
    assert asked == ["a", "b"]
    await system(GetDepth(name="b"))
    assert asked == ["a", "b", "b"]


async def test_handlers_outdate_tags_keys_and_patterns(
    harness: Harness, cache: MemoryCache
) -> None:
    for key in ("key", "log:1", "other"):
        await cache.set(key, b"x", ttl=60)
    await cache.set("tagged", b"x", ttl=60, tags=("all",))
    await cache.set("by", b"x", ttl=60, tags=(f"by:{UUID(int=1)}",))
    await harness.sender(somebody(1))(SoundAll(metres=1))
    assert [await cache.get(key) for key in ("key", "log:1", "other")] == [None, None, b"x"]
    assert await cache.get("tagged", tags=("all",)) is None
    assert await cache.get("by", tags=(f"by:{UUID(int=1)}",)) is None


async def test_refusals_and_queries_with_inherited_cache_settings_are_not_kept(
    harness: Harness,
) -> None:
    for _ in range(2):
        with pytest.raises(Conflict):
            await harness.sender(STRANGER)(GetRefused())
        await harness.sender()(GetHeir(name="a"))
    assert asked == ["refused", "a"] * 2


async def test_the_http_edge_gets_bytes_and_code_gets_a_view(harness: Harness) -> None:
    sender, asked_for = harness.sender(), GetDepth(name="a")
    edge = await sender.send(RenderedContext(asked_for, sender.principal, sender.origin, sender))
    assert isinstance(edge, Representation)
    assert edge.body == b'{"name":"a","metres":null}'
    assert await harness.sender()(GetDepth(name="a")) == Depth(name="a", metres=None)


async def test_nothing_is_kept_while_caching_is_switched_off(
    cache: MemoryCache, harness: Harness
) -> None:
    off = Harness(cache, ttl=0)
    for _ in range(2):
        await off.sender()(GetDepth(name="a"))
    assert asked == ["a", "a"]


KEPT = "The answer of"


def test_a_declaration_that_cannot_work_is_a_fault() -> None:
    class Unknown(Query[Depth]):
        permission = PUBLIC
        cache = Cached(tags=("boats:{id}", "{principal}"))

    class Nobody(Query[Depth | None]):
        permission = PUBLIC
        cache = Cached()

    class Secret(Query[Depth]):
        permission = PUBLIC
        cache = Cached()

        pin: SecretStr | None = None

    class Keys(BaseModel):
        old: tuple[SecretStr, ...] | None = None

    class Nested(Query[Depth]):
        permission = PUBLIC
        cache = Cached()

        keys: Keys

    class Touching(Command[None]):
        permission = PUBLIC
        touches = ("boats:{id}",)

    found = [m.flaws() for m in (Unknown, Nobody, Secret, Nested, Touching)]
    assert [[(flaw.code, flaw.problem) for flaw in flaws] for flaws in found] == [
        [
            (
                Code.MESSAGE_CACHE,
                "The tags of `cache` of Unknown name `id`, which is no field of it.",
            )
        ],
        [(Code.MESSAGE_CACHE, f"{KEPT} Nobody cannot be kept: it is no view, or may be None.")],
        [(Code.MESSAGE_CACHE, f"{KEPT} Secret cannot be kept: `pin` cannot be part of a key.")],
        [
            (
                Code.MESSAGE_CACHE,
                f"{KEPT} Nested cannot be kept: `keys.old` cannot be part of a key.",
            )
        ],
        [(Code.MESSAGE_TOUCHES, "`touches` of Touching names `id`, which is no field of it.")],
    ]
