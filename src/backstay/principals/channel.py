"""The PrincipalChannel port through the database."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import String, bindparam, func, select

from backstay.caching.memory import EVERYTHING, MemoryCache
from backstay.core.causes import cause_of
from backstay.core.context import Context, PrincipalChanges
from backstay.db.database import Database
from backstay.db.listener import Listener, PostgresListener
from backstay.principals.cache import PrincipalCache

log = structlog.get_logger("backstay.principals")

CHANNEL = "backstay_principals"
MAX_PAYLOAD = 7000
"""Bytes: PostgreSQL takes less than 8000. A longer list of users is sent as "everyone"."""

_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("payload", type_=String)))


class DatabasePrincipals:
    """Applies the changes of other processes, which a listener receives, to the caches of this one.

    Besides principals that may be the query ``answers`` that this process caches. Each
    subscription begins with empty caches, since earlier changes may have been missed. ``report``
    is called with True at every proof that changes are received, with False when they are not.

    This class suffices for SQLite: there the file shows that another process has written.
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
        """Nothing to do: the file shows the commit."""

    async def publish(self, changes: PrincipalChanges) -> None:
        """Drop the changed principals from the cache of this process."""
        if changes.everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(changes.user_ids)

    async def start(self) -> None:
        self._listener.subscribe(CHANNEL, self)

    async def stop(self) -> None:
        """Nothing to do: the listener is shared, and its owner stops it."""

    def state(self) -> str:
        """``degraded`` from the first failure until the next proof; ``ok`` before any of them."""
        if not self._listener.is_on:
            return "off"
        return "degraded" if self._is_lost else "ok"

    def subscribed(self) -> None:
        """Drop every entry, because changes may have been missed."""
        self._cache.forget_all()
        if self._answers is not None:
            self._answers.forget_all()

    def notified(self, payload: str) -> None:
        """Drop every entry: it is unknown what another process has changed."""
        self.subscribed()

    def complete_until(self, moment: float) -> None:
        self._cache.complete_until(moment)
        if self._answers is not None:
            self._answers.complete_until(moment)
        if self._is_lost:
            log.info("principal channel is back")
        self._is_lost = False
        self._report(True)

    def lost(self, error: Exception) -> None:
        if not self._is_lost:
            log.warning("principal channel lost", reason=cause_of(error))
        self._is_lost = True
        self._report(False)


class PostgresPrincipals(DatabasePrincipals):
    """NOTIFY is part of the transaction: a notification is sent exactly when it commits.

    A process behind PgBouncer cannot listen, but it does notify the others.
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
            listener.before_beat.append(partial(self._notify_of_answers, answers))
        self._notify = listener.notify
        self._database = database

    async def announce(self, context: Context) -> None:
        """Notify of the users who changed and, where there is a replica, of the one who wrote."""
        changes = context.unit.changes
        author = None if self._database.replica_engine is None else context.author_id
        if not changes and author is None:
            return
        payload = _payload(changes.everyone, changes.user_ids, author)
        if len(payload) > MAX_PAYLOAD:
            payload = _payload(True, (), author)
        await context.unit.transaction.write_soon(_NOTIFY, {"payload": payload})

    def subscribed(self) -> None:
        """Drop every entry; and since any user may have written, read nothing from a lagging
        replica."""
        super().subscribed()
        self._database.anyone_wrote()

    async def _notify_of_answers(self, answers: MemoryCache) -> None:
        """Notify of the answers that were invalidated since the last time.

        A notification in each transaction would make a write cost half as much again.
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

    def notified(self, payload: str) -> None:
        """Drop the users who changed; all of them if the notification cannot be read."""
        try:
            news = json.loads(payload)
            users = [UUID(user) for user in news["users"]]
            author = UUID(news["author"]) if news["author"] else None
            everyone, tags = bool(news["everyone"]), set(news["tags"])
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
