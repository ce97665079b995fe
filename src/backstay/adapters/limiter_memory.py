"""The Limiter port in process: exact for one process, forgotten with it."""

from datetime import timedelta

from throttled.asyncio import MemoryStore, RateLimiterType, Throttled, per_duration

from backstay.core.ports import Rate, Verdict

MAX_KEYS = 100_000
"""Beyond this many keys the least recently used is forgotten; an attacker needs as many
addresses to make the limiter forget one."""


class MemoryLimiter:
    """GCRA whose burst is the limit."""

    def __init__(self) -> None:
        self._store = MemoryStore(options={"MAX_SIZE": MAX_KEYS})
        self._by_rate: dict[Rate, Throttled] = {}

    async def hit(self, key: str, rate: Rate) -> Verdict:
        """Count one request."""
        throttled = self._by_rate.get(rate)
        if throttled is None:
            throttled = self._by_rate[rate] = self._throttled(rate)
        result = await throttled.limit(f"{rate.limit}/{rate.period}:{key}")
        state = result.state
        return Verdict(
            not result.limited, rate.limit, state.remaining, state.reset_after, state.retry_after
        )

    def _throttled(self, rate: Rate) -> Throttled:
        quota = per_duration(timedelta(seconds=rate.period), rate.limit, burst=rate.limit)
        return Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=self._store)
