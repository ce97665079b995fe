"""The Cache port in process: bounded, and used only while it learns of every change in time."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from backstay.core.background import Flight, SingleFlight
from backstay.core.bounded_map import BoundedMap
from backstay.core.caching import MAX_STALENESS
from backstay.core.ports import Load

MAX_ENTRIES = 20_000
MAX_BYTES = 64 * 1024 * 1024
"""How much one process keeps; beyond that, the entry that was used longest ago is dropped."""
EVERYTHING = ""
"""The tag that stands for every entry with tags."""
MOST_UNTOLD = 10_000
"""How many tags wait to be sent to other processes; beyond that, all tags are invalidated."""
OVERHEAD = 400
"""Bytes that an entry takes besides its key, its tags and its value."""


Reading = Flight[str, str]
"""A running read of a key, with the tags that its value will have."""


@dataclass(slots=True)
class _Entry:
    """What is kept under one key. Times are those of ``time.monotonic``."""

    value: Any
    expires: float
    tags: tuple[str, ...]
    known_at: float


class MemoryCache:
    """Keeps entries by key and finds them by tag.

    Without a channel (:meth:`rely_on_channel`) it assumes that only this process changes data.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        hits = Counter(
            "backstay_cache_hits_total", "Answers from the cache.", ["place"], registry=registry
        )
        self._near_hits, self.far_hits = hits.labels("process"), hits.labels("redis")
        self._misses = Counter(
            "backstay_cache_misses_total", "Answers that had to be worked out.", registry=registry
        )
        self._invalidations = Counter(
            "backstay_cache_invalidations_total", "Tags that were touched.", registry=registry
        )
        self.max_value = max_bytes // 16
        self.entries = BoundedMap[str, _Entry](max_entries, max_bytes)
        self.flights = SingleFlight[str, str, bytes]()
        self._complete_until = inf
        self._untold: set[str] | None = None

    async def get(self, key: str, *, tags: tuple[str, ...] = ()) -> bytes | None:
        return self.near(key, tags)

    async def set(self, key: str, value: bytes, *, ttl: float, tags: tuple[str, ...] = ()) -> None:
        self.keep(key, value, ttl, tags)

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        return await self.share(key, tags, partial(self.fetch, load=load, ttl=ttl))

    async def share(
        self, key: str, tags: tuple[str, ...], fetch: Callable[[Reading], Awaitable[bytes]]
    ) -> bytes:
        """What is kept, else what ``fetch`` returns; concurrent callers share one fetch."""
        found = self.near(key, tags)
        if found is not None:
            return found
        return await self.flights.share(key, fetch, now=monotonic(), tags=tags)

    def start(self, key: str, tags: tuple[str, ...]) -> Reading:
        """Register a read from elsewhere: invalidations from now on are noted on it."""
        return self.flights.start(key, monotonic(), tags)

    async def delete(self, *keys: str) -> None:
        self.forget_keys(keys)

    async def delete_tags(self, *tags: str) -> None:
        self._invalidations.inc(len(tags))
        self.forget_tags(tags)
        self.add_untold(tags)

    async def delete_matching(self, pattern: str) -> None:
        like = likeness(pattern)
        for key in [key for key in self.entries if like.fullmatch(key)]:
            self.entries.drop(key)
        self.flights.outdate(lambda reading: like.fullmatch(reading.key) is not None)

    async def increment(self, key: str, by: int = 1, *, ttl: float) -> int:
        entry = self._living(key)
        before = entry.value if entry is not None and isinstance(entry.value, int) else 0
        lasts = entry.expires - monotonic() if entry is not None else ttl
        self._put(key, before + by, 8, lasts, ())
        return int(before + by)

    async def push(self, key: str, *values: bytes, ttl: float) -> None:
        listed = [*await self.slice(key), *values]
        self._put(key, listed, sum(map(len, listed)), ttl, ())

    async def slice(self, key: str, start: int = 0, stop: int = -1) -> list[bytes]:
        entry = self._living(key)
        listed = entry.value if entry is not None and isinstance(entry.value, list) else []
        return listed[start : None if stop == -1 else stop + 1]

    def near(self, key: str, tags: tuple[str, ...]) -> bytes | None:
        """The value in this process, if it is current enough to be used; else None."""
        entry = self._living(key)
        if entry is None or entry.tags != tags or not isinstance(entry.value, bytes):
            return None
        since = max(entry.known_at, self._complete_until)
        if tags and monotonic() - since >= MAX_STALENESS:
            return None
        self.entries.use(key)
        self._near_hits.inc()
        return entry.value

    def keep(
        self,
        key: str,
        value: bytes,
        ttl: float,
        tags: tuple[str, ...],
        known_at: float | None = None,
    ) -> None:
        """Keep a value in this process that was current at ``known_at`` (monotonic), or is now."""
        self._put(key, value, len(value), ttl, tags, known_at)

    def fits(self, key: str, size: int, tags: tuple[str, ...] = ()) -> bool:
        """Whether a value of ``size`` bytes may be kept: at most a sixteenth of the whole cache."""
        return size + _frame(key, tags) <= self.max_value

    def rely_on_channel(self) -> None:
        """Expect that other processes change data, too.

        From now on entries with tags are used only while a channel proves, by calling
        ``complete_until``, that it delivers every invalidation.
        """
        self._complete_until = -inf

    def complete_until(self, moment: float) -> None:
        """Every change before this moment (monotonic) has been received."""
        self._complete_until = max(self._complete_until, moment)

    def collect_untold(self) -> None:
        """From now on collect the tags invalidated here, for a channel to send to others."""
        self._untold = set()

    def take_untold(self) -> frozenset[str]:
        """Take the collected tags, to send them to other processes."""
        taken = frozenset(self._untold or ())
        if taken:
            self._untold = set()
        return taken

    def add_untold(self, tags: Iterable[str]) -> None:
        """Collect tags to send, if a channel asked for that; too many of them become all tags."""
        if self._untold is not None:
            self._untold.update(tags)
            if len(self._untold) > MOST_UNTOLD:
                self._untold = {EVERYTHING}

    def forget_tags(self, tags: Iterable[str]) -> None:
        """Drop the entries that have one of these tags."""
        named = frozenset(tags)
        if EVERYTHING in named:
            self.forget_all()
        self.entries.drop_tagged(named)
        self.flights.outdate(lambda reading: not named.isdisjoint(reading.tags))

    def forget_keys(self, keys: Iterable[str]) -> None:
        named = frozenset(keys)
        for key in named:
            self.entries.drop(key)
        self.flights.outdate(lambda reading: reading.key in named)

    def forget_all(self) -> None:
        """Drop all entries with tags, when it is unknown which invalidations were missed."""
        self.entries.drop_all_tagged()
        self.flights.outdate(lambda reading: bool(reading.tags))

    async def fetch(self, reading: Reading, load: Load, ttl: float) -> bytes:
        """Load a value, and keep it unless it was invalidated meanwhile."""
        self._misses.inc()
        value = await load()
        if reading.holds:
            self.keep(reading.key, value, ttl, reading.tags, reading.since)
        return value

    def _living(self, key: str) -> _Entry | None:
        entry = self.entries.get(key)
        if entry is not None and entry.expires <= monotonic():
            self.entries.drop(key)
            return None
        return entry

    def _put(
        self,
        key: str,
        value: Any,
        size: int,
        ttl: float,
        tags: tuple[str, ...],
        known_at: float | None = None,
    ) -> None:
        self.entries.drop(key)
        now = monotonic()
        if ttl > 0 and self.fits(key, size, tags):
            entry = _Entry(value, now + ttl, tags, known_at or now)
            self.entries.put(key, entry, tags, size + _frame(key, tags))


def likeness(pattern: str) -> re.Pattern[str]:
    """The regular expression for a whole key: ``*`` is any text, ``?`` is one character."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _frame(key: str, tags: tuple[str, ...]) -> int:
    """Bytes that an entry takes besides its value."""
    return len(key) + OVERHEAD + sum(map(len, tags))
