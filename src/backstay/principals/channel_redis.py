"""The PrincipalChannel port on Redis: a change is told before its commit and after it."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, ValidationError

from backstay.core.clock import new_id
from backstay.core.context import Context, PrincipalChanges
from backstay.principals.cache import PrincipalCache
from backstay.redis.client import RedisFault, RedisLink

CHANNEL = "backstay:{name}:signals:{db}"
"""What is published reaches listeners of every database of a server, so its number is named."""


class News(BaseModel):
    """Users, or everyone, whose principal changed.

    While it is ``pending`` the change may be committed within so many seconds; the news of the
    same ``name`` that follow say that it was.
    """

    sender: str
    users: frozenset[UUID]
    everyone: bool
    name: str
    pending: float = Field(ge=0, allow_inf_nan=False)


class RedisPrincipals:
    """What is told only after a commit is lost when the process dies in between.

    So others are told before it, too: for as long as the commit may take they keep nothing about
    these principals. News and replies come in order on the connection that all commands share, so
    the reply to a later command proves that all news came. Every connection begins with an empty
    cache, since what was published before it is unknown.
    """

    def __init__(
        self, cache: PrincipalCache, link: RedisLink, name: str, commit_seconds: float
    ) -> None:
        """Applications of different names do not hear one another."""
        self._cache = cache
        self._link = link
        self._commit_seconds = commit_seconds
        self._sender = uuid4().hex
        self._owes_reset = False
        self._sending: set[asyncio.Task[None]] = set()
        self._channel = CHANNEL.format(name=name, db=link.address.db)
        link.subscribe(self._channel, self)

    async def announce(self, context: Context) -> None:
        """Let others distrust who is about to change."""
        changes = context.unit.changes
        if changes:
            changes.announced_as = str(new_id())
            await self._tell(changes, self._commit_seconds)

    async def publish(self, changes: PrincipalChanges) -> None:
        """Tell others who changed; nobody waits for it, since they distrust them already."""
        self._soon(self._tell(changes))

    async def start(self) -> None:
        """The link listens."""

    async def stop(self) -> None:
        """Send what is to be sent."""
        await asyncio.gather(*self._sending)

    def state(self) -> str:
        """Whether Redis answers."""
        return "ok" if self._link.is_up else "degraded"

    def subscribed(self) -> None:
        """Called by the link: forget everything, because something may have been missed."""
        self._cache.forget_all()

    def heard(self, payload: bytes) -> None:
        """Called by the link: forget who changed, or distrust who is about to.

        What cannot be read might have been about anybody.
        """
        try:
            news = News.model_validate_json(payload)
        except ValidationError:
            self._cache.forget_all()
            return
        if news.sender == self._sender:
            return
        if news.pending:
            users = None if news.everyone else news.users
            self._cache.distrust(news.name, users, min(news.pending, self._commit_seconds))
        else:
            self._cache.trust(news.name)
        if news.everyone:
            self._cache.forget_all()
        elif news.users:
            self._cache.forget(news.users)

    def complete_until(self, moment: float) -> None:
        """Called by the link. What others could not be told means everybody to them."""
        if self._owes_reset:
            self._owes_reset = False
            anybody = PrincipalChanges()
            anybody.touch_everyone()
            self._soon(self._tell(anybody))
        self._cache.complete_until(moment)

    async def _tell(self, changes: PrincipalChanges, pending: float = 0.0) -> None:
        news = News(
            sender=self._sender,
            users=frozenset(changes.user_ids),
            everyone=changes.everyone,
            name=changes.announced_as,
            pending=pending,
        )
        try:
            await self._link.call("PUBLISH", self._channel, news.model_dump_json())
        except RedisFault:
            self._owes_reset = True

    def _soon(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
