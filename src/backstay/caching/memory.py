"""The Cache port in process: bounded, and believed only as long as it hears of every change."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic
from typing import Any

from backstay.caching.metrics import CacheMetrics
from backstay.core.bounded_map import BoundedMap
from backstay.core.caching import MAX_STALENESS
from backstay.core.ports import Load
from backstay.core.single_flight import Flight, SingleFlight

MAX_ENTRIES = 20_000
MAX_BYTES = 64 * 1024 * 1024
"""How much one process keeps; beyond that, what was not asked for longest goes."""
EVERYTHING = ""
"""The tag that every entry with tags has."""
MOST_UNTOLD = 10_000
"""Tags that wait until others can be told; of more, everything is outdated."""
OVERHEAD = 400
"""Bytes that an entry takes besides its key and value."""


Reading = Flight[str, str]
"""A read of a key under way, with the tags that its value will have."""


@dataclass(slots=True)
class Entry:
    """What is kept under one key. Times are monotonic."""

    value: Any
    expires: float
    tags: tuple[str, ...]
    known_at: float


class MemoryCache:
    """Keeps entries by key, and finds them by tag.

    Unless it relies on a channel, changes come from this process alone.
    """

    def __init__(
        self, metrics: CacheMetrics, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES
    ) -> None:
        self.metrics = metrics
        self.max_value = max_bytes // 16
        self.entries = BoundedMap[str, Entry](max_entries, max_bytes)
        self.flights = SingleFlight[str, str, bytes]()
        self._complete_until = inf
        self._untold: set[str] | None = None

    async def get(self, key: str, *, tags: tuple[str, ...] = ()) -> bytes | None:
        """What is kept, or None."""
        return self.near(key, tags)

    async def set(self, key: str, value: bytes, *, ttl: float, tags: tuple[str, ...] = ()) -> None:
        """Keep a value."""
        self.keep(key, value, ttl, tags)

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        """What is kept, else what is loaded; once for all who ask meanwhile."""
        return await self.share(key, tags, partial(self.fetch, load=load, ttl=ttl))

    async def share(
        self, key: str, tags: tuple[str, ...], fetch: Callable[[Reading], Awaitable[bytes]]
    ) -> bytes:
        """What is kept, else what is fetched, once for all who ask meanwhile."""
        found = self.near(key, tags)
        if found is not None:
            return found
        return await self.flights.share(key, fetch, now=monotonic(), tags=tags)

    def start(self, key: str, tags: tuple[str, ...]) -> Reading:
        """Begin to read elsewhere: whatever is outdated from now on is known of."""
        return self.flights.start(key, monotonic(), tags)

    async def delete(self, *keys: str) -> None:
        """Forget keys."""
        self.forget_keys(keys)

    async def delete_tags(self, *tags: str) -> None:
        """Outdate whatever is kept under these tags."""
        self.metrics.invalidations.inc(len(tags))
        self.forget_tags(tags)
        self.add_untold(tags)

    async def delete_matching(self, pattern: str) -> None:
        """Forget every key like a pattern."""
        like = likeness(pattern)
        for key in [key for key in self.entries if like.fullmatch(key)]:
            self.entries.drop(key)
        self.flights.outdate(lambda reading: like.fullmatch(reading.key) is not None)

    async def increment(self, key: str, by: int = 1, *, ttl: float) -> int:
        """Add to a number."""
        entry = self._living(key)
        before = entry.value if entry is not None and isinstance(entry.value, int) else 0
        lasts = entry.expires - monotonic() if entry is not None else ttl
        self._put(key, before + by, 8, lasts, ())
        return int(before + by)

    async def push(self, key: str, *values: bytes, ttl: float) -> None:
        """Append to a list."""
        listed = [*await self.slice(key), *values]
        self._put(key, listed, sum(map(len, listed)), ttl, ())

    async def slice(self, key: str, start: int = 0, stop: int = -1) -> list[bytes]:
        """A part of a list."""
        entry = self._living(key)
        listed = entry.value if entry is not None and isinstance(entry.value, list) else []
        return listed[start : None if stop == -1 else stop + 1]

    def near(self, key: str, tags: tuple[str, ...]) -> bytes | None:
        """What this process keeps and may believe."""
        entry = self._living(key)
        if entry is None or entry.tags != tags or not isinstance(entry.value, bytes):
            return None
        since = max(entry.known_at, self._complete_until)
        if tags and monotonic() - since >= MAX_STALENESS:
            return None
        self.entries.use(key)
        self.metrics.near_hits.inc()
        return entry.value

    def keep(
        self,
        key: str,
        value: bytes,
        ttl: float,
        tags: tuple[str, ...],
        known_at: float | None = None,
    ) -> None:
        """Keep a value in this process that was true at a moment, or is now."""
        self._put(key, value, len(value), ttl, tags, known_at)

    def fits(self, key: str, size: int, tags: tuple[str, ...] = ()) -> bool:
        """Whether a value of so many bytes may be kept: one may take a sixteenth of all room."""
        return size + _frame(key, tags) <= self.max_value

    def rely_on_channel(self) -> None:
        """From now on others change things too: what has tags is believed while a channel proves
        by ``complete_until`` that it tells of everything.
        """
        self._complete_until = -inf

    def complete_until(self, moment: float) -> None:
        """Every change before this moment (monotonic) has been heard of."""
        self._complete_until = max(self._complete_until, moment)

    def collect_untold(self) -> None:
        """From now on keep the tags that are outdated here for a channel to tell others of."""
        self._untold = set()

    def take_untold(self) -> frozenset[str]:
        """The tags that others must be told of, of which nothing is left here."""
        taken = frozenset(self._untold or ())
        if taken:
            self._untold = set()
        return taken

    def add_untold(self, tags: Iterable[str]) -> None:
        """Others must be told of these tags, if anybody collects them; of too many, of all."""
        if self._untold is not None:
            together = self._untold.union(tags)
            self._untold = together if len(together) <= MOST_UNTOLD else {EVERYTHING}

    def forget_tags(self, tags: Iterable[str]) -> None:
        """Drop what has one of these tags."""
        named = frozenset(tags)
        if EVERYTHING in named:
            self.forget_all()
        self.entries.drop_tagged(named)
        self.flights.outdate(lambda reading: not named.isdisjoint(reading.tags))

    def forget_keys(self, keys: Iterable[str]) -> None:
        """Drop keys."""
        named = frozenset(keys)
        for key in named:
            self.entries.drop(key)
        self.flights.outdate(lambda reading: reading.key in named)

    def forget_all(self) -> None:
        """Drop whatever has tags: what was missed is unknown."""
        self.entries.drop_all_tagged()
        self.flights.outdate(lambda reading: bool(reading.tags))

    async def fetch(self, reading: Reading, load: Load, ttl: float) -> bytes:
        """Load, and keep what was not outdated meanwhile."""
        self.metrics.misses.inc()
        value = await load()
        if reading.holds:
            self.keep(reading.key, value, ttl, reading.tags, reading.since)
        return value

    def _living(self, key: str) -> Entry | None:
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
            entry = Entry(value, now + ttl, tags, known_at or now)
            self.entries.put(key, entry, tags, size + _frame(key, tags))


def likeness(pattern: str) -> re.Pattern[str]:
    """What a whole key must match: ``*`` stands for anything, ``?`` for one character."""
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _frame(key: str, tags: tuple[str, ...]) -> int:
    """Bytes that an entry takes besides its value."""
    return len(key) + OVERHEAD + sum(map(len, tags))
