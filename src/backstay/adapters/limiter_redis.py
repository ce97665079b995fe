"""The Limiter port on Redis: exact across processes, and per process while Redis is away."""

from dataclasses import replace

import structlog
from throttled.rate_limiter.gcra import RedisLimitAtomicActionSpec, RedisPeekAtomicActionSpec

from backstay.adapters.limiter_memory import MemoryLimiter
from backstay.adapters.redis_link import RedisFault, RedisLink, Script
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
        self._is_alone = False

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
        if self._is_alone:
            self._is_alone = False
            log.info("requests are counted by redis again")
        return Verdict(not limited, rate.limit, remaining, float(reset_after), float(retry_after))

    def _fall_back(self, error: RedisFault) -> None:
        if not self._is_alone:
            self._is_alone = True
            log.warning("requests are counted by each process for itself", reason=str(error))


def _alone(rate: Rate) -> Rate:
    return replace(rate, limit=max(1, rate.limit // 2)) if rate.strict else rate
