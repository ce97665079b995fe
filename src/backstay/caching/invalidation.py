"""Sends invalidations to Redis and to other processes, and repeats those that fail."""

import asyncio
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from os import urandom

from backstay.caching.memory import EVERYTHING, likeness
from backstay.redis.client import RedisFault, RedisLink

TAG_SECONDS = 86_400
"""Seconds that Redis keeps the version of a tag, at least; without one, a load writes a new one."""
KINDS = ("entry", "list", "size", "count")
"""What can be stored under one key."""
MOST_UNSENT = 1_000
"""How many failed invalidations are remembered; beyond that, all entries of the same kinds are
invalidated."""
ALL = {"tags": ("tags", EVERYTHING), "keys": ("patterns", "*"), "patterns": ("patterns", "*")}


class Invalidation:
    """Sends invalidations at once; those that fail, in the background when Redis is back.

    An invalidation is a pair: a kind (``tags``, ``keys`` or ``patterns``) and a name.
    """

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link, self._prefix = link, prefix
        self.channel = prefix + "outdated"
        self.sender = urandom(8).hex()
        self._unsent: set[tuple[str, str]] = set()
        self._catching_up: asyncio.Task[None] | None = None

    def named(self, kind: str, key: str) -> str:
        """The Redis key for a name of one kind."""
        return f"{self._prefix}{kind}:{key}"

    def require_sent(self) -> None:
        """Refuse to use Redis while it may hold entries that this process has invalidated.

        Raises:
            RedisFault: an invalidation has failed and was not repeated yet.
        """
        if self._unsent:
            raise RedisFault("it was not told yet what is outdated")

    async def send(self, outdated: Iterable[tuple[str, str]]) -> None:
        """Invalidate in Redis and in all other processes; earlier failures are not waited for."""
        fresh = set(outdated)
        try:
            await self._send(fresh)
        except RedisFault:
            missed = self._unsent | fresh
            is_much = len(missed) > MOST_UNSENT
            self._unsent = {ALL[kind] for kind, _ in missed} if is_much else missed

    def catch_up(self) -> None:
        """Start to repeat what has failed, unless that is already being done."""
        if self._unsent and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.create_task(self._send_missed())

    async def publish(self, kind: str, names: Iterable[str]) -> None:
        """Publish an invalidation to the other processes.

        Raises:
            RedisFault: it was not published.
        """
        payload = json.dumps([self.sender, kind, list(names)])
        await self._link.call("PUBLISH", self.channel, payload)

    async def _send_missed(self) -> None:
        late = self._unsent
        with suppress(RedisFault):
            await self._send(late)
            if self._unsent is late:  # nothing else has failed meanwhile
                self._unsent = set()

    async def _send(self, outdated: Iterable[tuple[str, str]]) -> None:
        acts = {"tags": self._change, "keys": self._remove, "patterns": self._sweep}
        groups = groupby(sorted(outdated), key=itemgetter(0))
        await asyncio.gather(*(acts[kind]([name for _, name in named]) for kind, named in groups))

    async def _change(self, tags: list[str]) -> None:
        """Give tags new versions: entries with the old versions are then outdated."""
        named = [self.named("tag", tag) for tag in tags]
        await asyncio.gather(
            *(self._link.call("SET", tag, urandom(8), "EX", TAG_SECONDS) for tag in named),
            self.publish("tags", tags),
        )

    async def _remove(self, keys: list[str]) -> None:
        named = [self.named(kind, key) for key in keys for kind in KINDS]
        await asyncio.gather(self._link.call("DEL", *named), self.publish("keys", keys))

    async def _sweep(self, patterns: list[str]) -> None:
        """Delete the keys that match patterns.

        It is published before and after: in between, another process may read an old entry again.
        """
        await self.publish("tags", [EVERYTHING])
        for pattern in patterns:
            exactly = f"{self._prefix}(?:{'|'.join(KINDS)}):{likeness(pattern).pattern}"
            roughly = self.named("*", re.sub(r"[*?^\\\[\]]+", "*", pattern))
            like, cursor = re.compile(exactly, re.DOTALL), None
            while cursor != b"0":
                scan = ("SCAN", cursor or 0, "MATCH", roughly, "COUNT", 10_000)
                cursor, found = await self._link.call(*scan)
                keys = [key for key in found if like.fullmatch(key.decode(errors="replace"))]
                if keys:
                    await self._link.call("UNLINK", *keys)
        await self.publish("tags", [EVERYTHING])
