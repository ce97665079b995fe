"""The PrincipalChannel port for one process: what changed is forgotten at once."""

from backstay.core.context import PrincipalChanges
from backstay.core.principal import PrincipalCache


class LocalPrincipals:
    """Tells the cache of this process. Others re-read a principal within its maximal age."""

    def __init__(self, cache: PrincipalCache) -> None:
        self._cache = cache

    async def publish(self, changes: PrincipalChanges) -> None:
        """Forget the principals that changed."""
        if changes.everyone:
            self._cache.forget_all()
        else:
            self._cache.forget(changes.user_ids)
