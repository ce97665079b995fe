"""The PrincipalChannel port on Redis: a change is published before its commit and after it."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, ValidationError

from backstay.core.clock import new_id
from backstay.core.context import Context, PrincipalChanges
from backstay.core.ports import PrincipalChannel
from backstay.principals.cache import PrincipalCache
from backstay.redis.client import RedisFault, RedisLink

CHANNEL = "backstay:{name}:signals:{db}"
"""It contains the number of the database, because a message reaches the subscribers in every
database of a server."""


class _News(BaseModel):
    """The users whose principal changed, or everyone.

    ``pending`` is how many seconds the commit of the change may still take; a second message with
    the same ``name`` and 0 says that it was committed.
    """

    sender: str
    users: frozenset[UUID]
    everyone: bool
    name: str
    pending: float = Field(ge=0, allow_inf_nan=False)


class RedisPrincipals:
    """Publishes a change twice, because a process may die between its commit and a message.

    ``database`` is the channel through the database, which is used, too: a change that either of
    them delivers is applied, and entries stay in use while either proves to be complete.

    Before the commit, other processes learn which principals are about to change, and keep no
    entries of them for as long as the commit may take. Messages and replies arrive in order on the
    connection that all commands share, so the reply to a later command proves that all messages
    before it have arrived. Every connection begins with an empty cache, since messages published
    before it may have been missed.
    """

    def __init__(
        self,
        database: PrincipalChannel,
        cache: PrincipalCache,
        link: RedisLink,
        name: str,
        commit_seconds: float,
    ) -> None:
        """Applications with different names do not receive each other's messages."""
        self._database = database
        self._cache = cache
        self._link = link
        self._commit_seconds = commit_seconds
        self._sender = uuid4().hex
        self._owes_reset = False
        self._sending: set[asyncio.Task[None]] = set()
        self._channel = CHANNEL.format(name=name, db=link.address.db)
        link.subscribe(self._channel, self)

    async def announce(self, context: Context) -> None:
        """Publish which principals are about to change."""
        await self._database.announce(context)
        changes = context.unit.changes
        if changes:
            changes.announced_as = str(new_id())
            await self._publish(changes, self._commit_seconds)

    async def publish(self, changes: PrincipalChanges) -> None:
        """Publish who changed, in the background: other processes keep no entry of them yet."""
        await self._database.publish(changes)
        self._soon(self._publish(changes))

    async def start(self) -> None:
        """Start the other channel; the link has subscribed already."""
        await self._database.start()

    async def stop(self) -> None:
        """Stop the other channel, and wait until pending messages are sent."""
        await self._database.stop()
        await asyncio.gather(*self._sending)

    def state(self) -> str:
        """``ok`` while Redis answers and the other channel is not ``degraded``."""
        is_ok = self._link.is_up and self._database.state() != "degraded"
        return "ok" if is_ok else "degraded"

    def subscribed(self) -> None:
        """Called by the link: drop every entry, because messages may have been missed."""
        self._cache.forget_all()

    def heard(self, payload: bytes) -> None:
        """Called by the link: drop the users who changed, and distrust those about to change.

        A message that cannot be read drops every entry: it may have been about any user.
        """
        try:
            news = _News.model_validate_json(payload)
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
        """Called by the link. After a message that failed, others are told to drop every entry."""
        if self._owes_reset:
            self._owes_reset = False
            anybody = PrincipalChanges()
            anybody.touch_everyone()
            self._soon(self._publish(anybody))
        self._cache.complete_until(moment)

    async def _publish(self, changes: PrincipalChanges, pending: float = 0.0) -> None:
        news = _News(
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
