"""The Limiter port in process: exact for one process, forgotten with it."""

from datetime import timedelta

from throttled.asyncio import (
    MemoryStore,
    RateLimiterType,
    RateLimitState,
    Throttled,
    per_duration,
)

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
        result = await self._throttled(rate).limit(_named(key, rate))
        return _verdict(rate, result.state, allowed=not result.limited)

    async def peek(self, key: str, rate: Rate) -> Verdict:
        """What a request would find."""
        state = await self._throttled(rate).peek(_named(key, rate))
        return _verdict(rate, state, allowed=state.remaining > 0)

    def _throttled(self, rate: Rate) -> Throttled:
        throttled = self._by_rate.get(rate)
        if throttled is None:
            period = timedelta(seconds=rate.period)
            throttled = self._by_rate[rate] = Throttled(
                using=RateLimiterType.GCRA.value,
                quota=per_duration(period, rate.limit, burst=rate.limit),
                store=self._store,
            )
        return throttled


def _named(key: str, rate: Rate) -> str:
    return f"{rate.limit}/{rate.period}:{key}"


def _verdict(rate: Rate, state: RateLimitState, *, allowed: bool) -> Verdict:
    return Verdict(allowed, rate.limit, state.remaining, state.reset_after, state.retry_after)
