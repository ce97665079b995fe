"""The Limiter port where limits are switched off: everything is allowed, nothing is counted."""

from backstay.core.ports import Verdict
from backstay.core.rates import Rate


class NoLimiter:
    """Allows every request."""

    async def hit(self, key: str, rate: Rate) -> Verdict:
        """Always within the rate."""
        return Verdict(True, rate.limit, rate.limit, 0, 0)

    async def take_back(self, key: str, rate: Rate) -> None:
        """Nothing was counted."""

    async def peek(self, key: str, rate: Rate) -> Verdict:
        """Always within the rate."""
        return Verdict(True, rate.limit, rate.limit, 0, 0)
