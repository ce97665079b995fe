"""The Limiter port on Redis: exact across processes, and per process while Redis is away."""

from dataclasses import replace

import structlog
from throttled.rate_limiter.gcra import RedisLimitAtomicActionSpec, RedisPeekAtomicActionSpec

from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.redis_link import RedisFault, RedisLink, RedisRefused, Script
from backstay.core.ports import Rate, Verdict

log = structlog.get_logger("backstay.limits")

HIT = Script.of(RedisLimitAtomicActionSpec.SCRIPTS)
PEEK = Script.of(RedisPeekAtomicActionSpec.SCRIPTS)


class RedisLimiter:
    """GCRA whose burst is the limit, by the clock of Redis, in one call.

    While Redis is away each process counts for itself; a strict rate then allows half, since an
    attacker meets several processes.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._alone = MemoryLimiter()
        self._told: str | None = None

    async def hit(self, key: str, rate: Rate) -> Verdict:
        """Count one request."""
        try:
            return await self._run(HIT, key, rate, (1,))
        except RedisFault as error:
            self._fall_back(error)
        return await self._alone.hit(key, _alone(rate))

    async def peek(self, key: str, rate: Rate) -> Verdict:
        """What a request would find."""
        try:
            return await self._run(PEEK, key, rate)
        except RedisFault as error:
            self._fall_back(error)
        return await self._alone.peek(key, _alone(rate))

    async def _run(
        self, script: Script, key: str, rate: Rate, cost: tuple[int, ...] = ()
    ) -> Verdict:
        name = f"backstay:limit:{rate.limit}/{rate.period}:{key}"
        args = (rate.period / rate.limit, rate.limit, *cost)
        limited, remaining, reset_after, retry_after = await self._link.run(script, (name,), args)
        self._told = None
        return Verdict(not limited, rate.limit, remaining, float(reset_after), float(retry_after))

    def _fall_back(self, error: RedisFault) -> None:
        """The link has told that Redis is away; that it refuses to count is told here."""
        if isinstance(error, RedisRefused) and self._told != str(error):
            self._told = str(error)
            log.warning("redis refuses to count requests", reason=self._told)


def _alone(rate: Rate) -> Rate:
    return replace(rate, limit=max(1, rate.limit // 2)) if rate.strict else rate
