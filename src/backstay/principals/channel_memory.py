"""The PrincipalChannel port for one process: what changed is forgotten at once."""

from backstay.core.context import Context, PrincipalChanges
from backstay.principals.cache import PrincipalCache


class LocalPrincipals:
    """Tells the cache of this process. Others re-read a principal within its maximal staleness."""

    def __init__(self, cache: PrincipalCache) -> None:
        self._cache = cache

    async def announce(self, context: Context) -> None:
        """Nobody else is told."""

    async def publish(self, changes: PrincipalChanges) -> None:
        """Forget the principals that changed."""
        if changes.everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(changes.user_ids)

    async def start(self) -> None:
        """Nobody else is listened to."""

    async def stop(self) -> None:
        """Nobody else is listened to."""

    def state(self) -> str:
        """There is nothing that could fail."""
        return "off"
