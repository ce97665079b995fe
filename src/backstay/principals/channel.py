"""The PrincipalChannel port by the database; that on Redis is in `channel_redis`.

Where several are in use, whatever one of them tells is obeyed.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import text

from backstay.caching.memory import EVERYTHING, MemoryCache
from backstay.core.causes import cause_of
from backstay.core.context import Context, PrincipalChanges
from backstay.core.ports import PrincipalChannel
from backstay.db.listener import Listener, PostgresListener
from backstay.db.session import Database
from backstay.principals.cache import PrincipalCache

log = structlog.get_logger("backstay.principals")

CHANNEL = "backstay_principals"
MAX_PAYLOAD = 7000
"""PostgreSQL takes less than 8000 bytes; whoever does not fit makes it everyone."""

_NOTIFY = text("SELECT pg_notify(:channel, :payload)")


class DatabasePrincipals:
    """Keeps the caches informed, by a listener, of how complete their knowledge is.

    Each subscription begins with empty caches, since what was said before it is unknown. Besides
    principals that may be the ``answers`` that this process keeps. ``report`` is told whether
    others are heard, at every answer and when there are no more.

    On SQLite nothing more is needed: the file itself tells that another process has written.
    """

    def __init__(
        self,
        cache: PrincipalCache,
        listener: Listener,
        report: Callable[[bool], None],
        answers: MemoryCache | None = None,
    ) -> None:
        self._cache = cache
        self._listener = listener
        self._report = report
        self._answers = answers
        if answers is not None:
            answers.rely_on_channel()
        self._is_lost = False

    async def announce(self, context: Context) -> None:
        """The file tells it."""

    async def publish(self, changes: PrincipalChanges) -> None:
        """Forget the principals that changed."""
        if changes.everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(changes.user_ids)

    async def start(self) -> None:
        """Begin to listen, in the background."""
        self._listener.subscribe(CHANNEL, self)

    async def stop(self) -> None:
        """Listen no longer."""
        await self._listener.stop()

    def state(self) -> str:
        """Lost from the first failure until the next answer; before either it is believed in."""
        if not self._listener.is_on:
            return "off"
        return "degraded" if self._is_lost else "ok"

    def subscribed(self) -> None:
        """Forget everything, because something may have been missed."""
        self._cache.forget_all()
        if self._answers is not None:
            self._answers.forget_all()

    def heard(self, payload: str) -> None:
        """Somebody has changed something, whatever it was."""
        self.subscribed()

    def complete_until(self, moment: float) -> None:
        """Others are heard."""
        self._cache.complete_until(moment)
        if self._answers is not None:
            self._answers.complete_until(moment)
        if self._is_lost:
            log.info("principal channel is back")
        self._is_lost = False
        self._report(True)

    def lost(self, error: Exception) -> None:
        """Others are heard no more."""
        if not self._is_lost:
            log.warning("principal channel lost", reason=cause_of(error))
        self._is_lost = True
        self._report(False)


class PostgresPrincipals(DatabasePrincipals):
    """Notifications are sent by the commit itself: none is lost, none is early.

    What is committed through PgBouncer, where nobody can listen, is announced all the same.
    """

    def __init__(
        self,
        cache: PrincipalCache,
        listener: PostgresListener,
        report: Callable[[bool], None],
        answers: MemoryCache | None,
        database: Database,
    ) -> None:
        super().__init__(cache, listener, report, answers)
        if answers is not None:
            answers.collect_untold()
            listener.before_beat.append(partial(self._tell, answers))
        self._notify = listener.notify
        self._database = database

    async def announce(self, context: Context) -> None:
        """Name who changed and, where a replica may lag behind, who wrote."""
        changes = context.unit.changes
        author = context.principal.user_id if self._database.replica_engine is not None else None
        if not changes and author is None:
            return
        payload = _payload(changes.everyone, changes.user_ids, author)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(True, (), author)
        await context.unit.transaction.execute(_NOTIFY, {"channel": CHANNEL, "payload": payload})

    def subscribed(self) -> None:
        """Forget everything; somebody may have written, too."""
        super().subscribed()
        self._database.anyone_wrote()

    async def _tell(self, answers: MemoryCache) -> None:
        """Tell what answers were outdated meanwhile.

        A notification in each transaction would cost a write half as much again.
        """
        tags = answers.take_untold()
        if not tags:
            return
        payload = _payload(tags=tags)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(tags=[EVERYTHING])
        try:
            await self._notify(CHANNEL, payload)
        except BaseException:
            answers.add_untold(tags)
            raise

    def heard(self, payload: str) -> None:
        """Forget who changed. What cannot be read might have been about anybody."""
        try:
            told = json.loads(payload)
            users = [UUID(user) for user in told["users"]]
            author = UUID(told["author"]) if told["author"] else None
            everyone, tags = bool(told["everyone"]), set(told["tags"])
        except (ValueError, TypeError, KeyError, AttributeError):
            self.subscribed()
            return
        if everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(users)
        if self._answers is not None:
            self._answers.forget_tags({EVERYTHING} if everyone else tags)
        self._database.wrote(*users, author)


class Channels:
    """Tells by all; the cache believes its entries while any one of them proves to be complete."""

    def __init__(self, *channels: PrincipalChannel) -> None:
        self._channels = channels

    async def announce(self, context: Context) -> None:
        """By each of them."""
        for channel in self._channels:
            await channel.announce(context)

    async def publish(self, changes: PrincipalChanges) -> None:
        """By each of them."""
        for channel in self._channels:
            await channel.publish(changes)

    async def start(self) -> None:
        """Listen to each of them."""
        for channel in self._channels:
            await channel.start()

    async def stop(self) -> None:
        """Listen to none of them."""
        for channel in self._channels:
            await channel.stop()

    def state(self) -> str:
        """The worst of those that are not off by design."""
        states = {channel.state() for channel in self._channels}
        return next((state for state in ("degraded", "ok") if state in states), "off")


def _payload(
    everyone: bool = False,
    user_ids: Iterable[UUID] = (),
    author: UUID | None = None,
    tags: Iterable[str] = (),
) -> str:
    return json.dumps(
        {
            "tags": list(tags),
            "everyone": everyone,
            "users": [str(user_id) for user_id in user_ids],
            "author": author and str(author),
        }
    )
