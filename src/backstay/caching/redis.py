"""The Cache port on Redis, behind a cache in process: a frequent read costs no round trip."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from hmac import compare_digest
from os import urandom
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from backstay.caching.invalidation import TAG_SECONDS, Invalidation
from backstay.caching.memory import EVERYTHING, MemoryCache, Reading
from backstay.core.ports import Load
from backstay.redis.client import RedisFault, RedisLink

HASH_SIZE = 16
LOCK_MS = 5_000
WAIT_SECONDS = 0.2
"""How long to wait for another process that is loading the same entry; then it is loaded here."""
POLL_SECONDS = 0.015
_COUNT = (
    "local n = redis.call('INCRBY', KEYS[1], ARGV[1]) "
    "if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
    "return n"
)
_PUSH = (
    "if redis.call('EXISTS', KEYS[1], KEYS[2]) == 1 then redis.call('DEL', KEYS[1], KEYS[2]) end "
    "if redis.call('INCRBY', KEYS[2], ARGV[1]) > tonumber(ARGV[2]) then "
    "return redis.call('DEL', KEYS[1], KEYS[2]) end "
    "for i = 4, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end "
    "redis.call('PEXPIRE', KEYS[1], ARGV[3]) redis.call('PEXPIRE', KEYS[2], ARGV[3])"
)
"""A list and its size in bytes; both are deleted if one of them is missing or the list is larger
than allowed."""


class _Found(NamedTuple):
    """What Redis held at one moment: a value, the seconds until it expires, its tags' versions."""

    value: bytes | None
    lasts: float
    versions: tuple[bytes | None, ...]


class RedisCache:
    """Stores an entry together with the versions that its tags had before it was loaded.

    A tag is invalidated by giving it a new version: entries that were loaded before, or are being
    loaded, then no longer match, and no lists of keys are needed. A tag without a version (new,
    expired, evicted, flushed) matches nothing; the next load writes one. An invalidation that
    Redis did not get is repeated (``Invalidation``); until it succeeds, this process caches without
    Redis. Each entry is signed over its key, versions and value, so that an entry written by
    another program counts as a miss.
    """

    def __init__(self, link: RedisLink, secret: bytes, registry: CollectorRegistry) -> None:
        self.memory = MemoryCache(registry)
        self.memory.rely_on_channel()
        self._link = link
        self._signer = Signer(secret)
        self._invalidation = Invalidation(link, f"{link.prefix}{self._signer.name}:")
        self._named = self._invalidation.named
        link.subscribe(self._invalidation.channel, self)

    async def get(self, key: str, *, tags: tuple[str, ...] = ()) -> bytes | None:
        memory = self.memory
        if tags and (near := memory.near(key, tags)) is not None:
            return near
        reading = memory.start(key, tags)
        try:
            return self._believe(reading, await self._find(key, tags))
        except RedisFault:
            return memory.near(key, tags)
        finally:
            memory.flights.end(reading)

    async def set(self, key: str, value: bytes, *, ttl: float, tags: tuple[str, ...] = ()) -> None:
        """Keep a value in Redis; in this process while Redis is down."""
        if not self.memory.fits(key, len(value), tags):
            return await self.delete(key)
        try:
            versions = (await self._find(key, tags)).versions
            await self._store(key, value, ttl, tags, versions)
            self.memory.forget_keys([key])
            if tags:
                await self._invalidation.publish("keys", [key])
        except RedisFault:
            await self.delete(key)  # Redis may hold an older value
            self.memory.keep(key, value, ttl, tags)

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        return await self.memory.share(key, tags, partial(self._fetch, load=load, ttl=ttl))

    async def delete(self, *keys: str) -> None:
        await self.memory.delete(*keys)
        await self._invalidation.send(("keys", key) for key in keys)

    async def delete_tags(self, *tags: str) -> None:
        await self.memory.delete_tags(*tags)
        await self._invalidation.send(("tags", tag) for tag in tags)

    async def delete_matching(self, pattern: str) -> None:
        await self.memory.delete_matching(pattern)
        await self._invalidation.send([("patterns", pattern)])

    async def increment(self, key: str, by: int = 1, *, ttl: float) -> int:
        """Add to a number in Redis; in this process while Redis is down."""
        milliseconds = max(1, int(ttl * 1000))
        try:
            self._invalidation.require_sent()
            return int(
                await self._link.run(_COUNT, [self._named("count", key)], [by, milliseconds])
            )
        except RedisFault:
            return await self.memory.increment(key, by, ttl=ttl)

    async def push(self, key: str, *values: bytes, ttl: float) -> None:
        """Append to a list in Redis; in this process while Redis is down."""
        if not self.memory.fits(key, sum(map(len, values))):
            return await self.delete(key)
        named = self._named("list", key)
        signed = [self._signer.sign(named, (), value) for value in values]
        bounds = sum(map(len, signed)), self.memory.max_value, max(1, int(ttl * 1000))
        try:
            self._invalidation.require_sent()
            await self._link.run(_PUSH, [named, self._named("size", key)], [*bounds, *signed])
        except RedisFault:
            await self.memory.push(key, *values, ttl=ttl)

    async def slice(self, key: str, start: int = 0, stop: int = -1) -> list[bytes]:
        named = self._named("list", key)
        try:
            self._invalidation.require_sent()
            listed = await self._link.call("LRANGE", named, start, stop)
        except RedisFault:
            return await self.memory.slice(key, start, stop)
        verified = (self._signer.verify(named, (), signed) for signed in listed)
        return [value for value in verified if value is not None]

    def subscribed(self) -> None:
        """Drop all entries with tags: invalidations published before this may have been missed."""
        self.memory.forget_all()

    def complete_until(self, moment: float) -> None:
        """Redis has answered: entries in this process stay valid, and failures are repeated."""
        self.memory.complete_until(moment)
        self._invalidation.catch_up()

    def heard(self, payload: bytes) -> None:
        """Apply an invalidation that another process, or this one, has published."""
        memory = self.memory
        try:
            sender, kind, names = json.loads(payload)
            if kind == "tags" and EVERYTHING in names:
                memory.forget_all()
            elif sender != self._invalidation.sender:
                {"tags": memory.forget_tags, "keys": memory.forget_keys}[kind](names)
        except (ValueError, TypeError, KeyError, RecursionError):
            memory.forget_all()

    async def _fetch(self, reading: Reading, load: Load, ttl: float) -> bytes:
        """Read from Redis, or wait for a process that is loading the entry; else load it here."""
        key, tags = reading.key, reading.tags
        unlock = partial(self._link.call, "DEL", self._named("lock", key))
        try:
            found, is_locked = await self._find_or_lock(key, tags)
        except RedisFault:
            return await self.memory.fetch(reading, load, ttl)
        after = [unlock] if is_locked else []
        try:
            kept = self._believe(reading, found)
            if kept is not None:
                return kept
            value = await self.memory.fetch(reading, load, ttl)
            if reading.holds:
                after.append(partial(self._store, key, value, ttl, tags, found.versions))
            return value
        finally:
            with suppress(RedisFault):  # the answer is right without it
                await asyncio.gather(*(act() for act in after))

    async def _find_or_lock(self, key: str, tags: tuple[str, ...]) -> tuple[_Found, bool]:
        """A value, else whether this process holds the lock to load it.

        After ``WAIT_SECONDS`` without either, the caller loads without the lock.
        """
        self._invalidation.require_sent()
        deadline = time.monotonic() + WAIT_SECONDS
        locking = ("SET", self._named("lock", key), "", "NX", "PX", LOCK_MS)
        while True:
            found, locked = await asyncio.gather(self._find(key, tags), self._link.call(*locking))
            if found.value is not None or locked or time.monotonic() > deadline:
                return found, bool(locked)
            await asyncio.sleep(POLL_SECONDS)

    async def _find(self, key: str, tags: tuple[str, ...]) -> _Found:
        """Read the entry and the versions of its tags in one round trip."""
        self._invalidation.require_sent()
        named = self._named("entry", key)
        keys = [self._named("tag", tag) for tag in (EVERYTHING, *tags)] if tags else []
        left, (signed, *versions) = await asyncio.gather(
            self._link.call("PTTL", named), self._link.call("MGET", named, *keys)
        )
        nothing = _Found(None, 0.0, tuple(versions))
        is_whole = signed is not None and None not in versions
        value = self._signer.verify(named, versions, signed) if is_whole else None
        if value is None:
            return nothing
        lasts = int.from_bytes(value[:8]) / 1000 - time.time()
        return _Found(value[8:], min(lasts, left / 1000), tuple(versions)) if lasts > 0 else nothing

    def _believe(self, reading: Reading, found: _Found) -> bytes | None:
        """The value that was found; also kept in this process unless invalidated meanwhile."""
        if found.value is None:
            return None
        memory, tags = self.memory, reading.tags
        memory.far_hits.inc()
        if tags and reading.holds:
            memory.keep(reading.key, found.value, found.lasts, tags, reading.since)
        return found.value

    async def _store(
        self,
        key: str,
        value: bytes,
        ttl: float,
        tags: tuple[str, ...],
        versions: Sequence[bytes | None],
    ) -> None:
        if not self.memory.fits(key, len(value), tags):
            return
        named, milliseconds = self._named("entry", key), int(ttl * 1000)
        given = [version or urandom(8) for version in versions]
        fresh = [
            ("SET", self._named("tag", tag), version, "NX", "EX", max(TAG_SECONDS, int(2 * ttl)))
            for tag, version, before in zip((EVERYTHING, *tags), given, versions, strict=False)
            if before is None
        ]
        expires = int(time.time() * 1000) + milliseconds
        signed = self._signer.sign(named, given, expires.to_bytes(8) + value)
        await asyncio.gather(
            *(self._link.call(*command) for command in fresh),
            self._link.call("SET", named, signed, "PX", max(1, milliseconds)),
        )


class Signer:
    """Signs values, because other programs may write to the same Redis.

    Its key is derived from a secret; ``name`` identifies that key.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, person=b"backstay cache").digest()
        self.name = blake2b(self._key, digest_size=4).hexdigest()

    def sign(self, key: str, versions: Sequence[bytes], value: bytes) -> bytes:
        """Prefix the value with a hash that binds it to its key and to the versions of its tags."""
        return self._hash(key, versions, value) + value

    def verify(self, key: str, versions: Sequence[bytes], signed: bytes) -> bytes | None:
        """The value without its hash, or None when the hash does not fit."""
        value = signed[HASH_SIZE:]
        return (
            value if compare_digest(self._hash(key, versions, value), signed[:HASH_SIZE]) else None
        )

    def _hash(self, key: str, versions: Sequence[bytes], value: bytes) -> bytes:
        bound = repr((key, *versions)).encode()
        hashed = blake2b(len(bound).to_bytes(4), digest_size=HASH_SIZE, key=self._key)
        hashed.update(bound)
        hashed.update(value)
        return hashed.digest()
