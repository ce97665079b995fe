"""The PrincipalChannel port on Redis: a change is told before its commit and after it."""

from backstay.adapters.signals_redis import RedisSignals
from backstay.core.clock import new_id
from backstay.core.context import Context, PrincipalChanges
from backstay.core.principal_cache import PrincipalCache
from backstay.core.signals import Signal


class RedisPrincipals:
    """What is told only after a commit is lost when the process dies in between.

    So others are told before it, too: for as long as the commit may take they keep nothing about
    these principals.
    """

    def __init__(self, cache: PrincipalCache, signals: RedisSignals, commit_seconds: float) -> None:
        self._cache = cache
        self._signals = signals
        self._commit_seconds = commit_seconds
        signals.listen(self)

    async def announce(self, context: Context) -> None:
        """Let others distrust who is about to change."""
        changes = context.unit.changes
        if changes:
            changes.announced_as = str(new_id())
            await self._signals.send(_signal(changes, self._commit_seconds))

    async def publish(self, changes: PrincipalChanges) -> None:
        """Tell others who changed; nobody waits for it, since they distrust them already."""
        self._signals.send_soon(_signal(changes))

    async def start(self) -> None:
        """The link listens."""

    async def stop(self) -> None:
        """Send what is to be sent."""
        await self._signals.settle()

    def state(self) -> str:
        """Whether Redis answers."""
        return "ok" if self._signals.is_heard else "degraded"

    def heard(self, signal: Signal) -> None:
        """Forget who changed, or distrust who is about to."""
        if signal.pending:
            users = None if signal.everyone else signal.user_ids
            seconds = min(signal.pending, self._commit_seconds)
            self._cache.distrust(signal.name, users, seconds)
        else:
            self._cache.trust(signal.name)
        if signal.everyone:
            self._cache.forget_all()
        elif signal.user_ids:
            self._cache.forget(signal.user_ids)

    def flush(self) -> None:
        """Forget everything, because something may have been missed."""
        self._cache.forget_all()

    def complete_until(self, moment: float) -> None:
        """Every change of before this moment was heard of."""
        self._cache.complete_until(moment)


def _signal(changes: PrincipalChanges, pending: float = 0.0) -> Signal:
    return Signal(
        frozenset(changes.user_ids),
        changes.everyone,
        name=changes.announced_as,
        pending=pending,
    )
