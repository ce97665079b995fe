"""The Limiter port on Redis: exact across processes, and per process while Redis is away."""

from dataclasses import replace

from backstay.core.ports import RateLimitResult
from backstay.core.rates import Rate
from backstay.limits.memory import MemoryLimiter, price_of, result_of
from backstay.redis.client import RedisFault, RedisLink, Script

COUNT = Script.of("""
local price, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owed = (tonumber(redis.call('GET', KEYS[1])) or now) - now
local debt = math.min(math.max(0, owed), most + price)
local allowed = debt <= most and 1 or 0
debt = debt + price * allowed
if debt > 0 and debt ~= owed then
    redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000))
end
return {allowed, debt}
""")
"""A request is a debt that time pays off (GCRA); a key holds the moment at which it owes nothing
more. Everything is in whole microseconds by the clock of Redis. Nobody owes more than the limit,
whatever is found: the clock of a replica that took over may be behind."""
TAKE_BACK = Script.of("""
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECRBY', KEYS[1], ARGV[1]) end
return 0
""")
MICROSECOND = 1000
"""Nanoseconds."""


class RedisLimiter:
    """GCRA whose burst is the limit, in one call: the arithmetic of the limiter in process.

    While Redis is away each process counts for itself; a strict rate then allows half, since an
    attacker meets several processes.
    """

    def __init__(self, link: RedisLink, name: str) -> None:
        """Applications of different names count apart."""
        self._link = link
        self._prefix = f"{link.prefix}{name}:limit"
        self._alone = MemoryLimiter()

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        """Count one request."""
        try:
            price = _price(rate)
            args = (price, price * (rate.limit - 1))
            allowed, debt = await self._link.run(COUNT, (self._name(key, rate),), args)
        except RedisFault:
            return await self._alone.hit(key, _alone(rate))
        return result_of(rate, debt * MICROSECOND, price * MICROSECOND, allowed=bool(allowed))

    async def take_back(self, key: str, rate: Rate) -> None:
        """Uncount a request."""
        try:
            await self._link.run(TAKE_BACK, (self._name(key, rate),), (_price(rate),))
        except RedisFault:
            await self._alone.take_back(key, _alone(rate))

    def _name(self, key: str, rate: Rate) -> str:
        return f"{self._prefix}:{rate.limit}/{rate.period}:{key}"


def _price(rate: Rate) -> int:
    return price_of(rate) // MICROSECOND or 1


def _alone(rate: Rate) -> Rate:
    return replace(rate, limit=max(1, rate.limit // 2)) if rate.strict else rate
