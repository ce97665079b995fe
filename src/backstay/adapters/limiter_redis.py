"""The Limiter port on Redis: exact across processes, and per process while Redis is away."""

from dataclasses import replace

import structlog

from backstay.adapters.limiter_memory import MemoryLimiter, price_of, verdict_of
from backstay.adapters.redis_link import RedisFault, RedisLink, RedisRefused, Script
from backstay.core.ports import Rate, Verdict

log = structlog.get_logger("backstay.limits")

COUNT = Script.of("""
local price, most, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local debt = math.max(tonumber(redis.call('GET', KEYS[1]) or now) - now, 0)
if debt > most then
    return {0, debt}
end
if cost > 0 then
    debt = debt + price
    redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000))
end
return {1, debt}
""")
"""A request is a debt that time pays off (GCRA); a key holds the moment at which it owes nothing
more. Everything is in whole microseconds by the clock of Redis."""
MICROSECOND = 1000
"""Nanoseconds."""


class RedisLimiter:
    """GCRA whose burst is the limit, in one call: the arithmetic of the limiter in process.

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
            return await self._count(key, rate, 1)
        except RedisFault as error:
            self._fall_back(error)
        return await self._alone.hit(key, _alone(rate))

    async def peek(self, key: str, rate: Rate) -> Verdict:
        """What a request would find."""
        try:
            return await self._count(key, rate, 0)
        except RedisFault as error:
            self._fall_back(error)
        return await self._alone.peek(key, _alone(rate))

    async def _count(self, key: str, rate: Rate, cost: int) -> Verdict:
        price = price_of(rate) // MICROSECOND or 1
        name = f"backstay:limit:{rate.limit}/{rate.period}:{key}"
        args = (price, price * (rate.limit - 1), cost)
        allowed, debt = await self._link.run(COUNT, (name,), args)
        self._told = None
        return verdict_of(rate, debt * MICROSECOND, price * MICROSECOND, allowed=bool(allowed))

    def _fall_back(self, error: RedisFault) -> None:
        """The link has told that Redis is away; that it refuses to count is told here."""
        if isinstance(error, RedisRefused) and self._told != str(error):
            self._told = str(error)
            log.warning("redis refuses to count requests", reason=self._told)


def _alone(rate: Rate) -> Rate:
    return replace(rate, limit=max(1, rate.limit // 2)) if rate.strict else rate
