"""The Limiter port on Redis: exact across processes; each counts alone while Redis is down."""

from dataclasses import replace

from backstay.core.rates import Rate, RateLimitResult
from backstay.limits.memory import MemoryLimiter, price_of, result_of
from backstay.redis.client import RedisFault, RedisLink

COUNT = """
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
"""
"""GCRA: each request adds to a debt that decreases with time; a key holds the moment at which its
debt is zero. All times are whole microseconds of the clock of Redis. A debt above the limit is cut
to the limit: the clock of a replica that has become the master may be behind."""
PEEK = """
local price, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owed = (tonumber(redis.call('GET', KEYS[1])) or now) - now
return math.min(math.max(0, owed), most + price)
"""
TAKE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECRBY', KEYS[1], ARGV[1]) end
return 0
"""
MICROSECOND = 1000
"""In nanoseconds."""


class RedisLimiter:
    """GCRA whose burst is the limit, in one call, with the arithmetic of the in-process limiter.

    While Redis is down each process counts alone. A strict rate then allows half in each, since
    the requests of an attacker reach several processes.
    """

    def __init__(self, link: RedisLink, name: str) -> None:
        """Applications with different names do not share counts."""
        self._link = link
        self._prefix = f"{link.prefix}{name}:limit"
        self._alone = MemoryLimiter()

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        try:
            price = _price(rate)
            args = (price, price * (rate.limit - 1))
            allowed, debt = await self._link.run(COUNT, (self._name(key, rate),), args)
        except RedisFault:
            return await self._alone.hit(key, _alone(rate))
        return result_of(rate, debt * MICROSECOND, price * MICROSECOND, allowed=bool(allowed))

    async def peek(self, key: str, rate: Rate) -> RateLimitResult:
        price = _price(rate)
        most = price * (rate.limit - 1)
        try:
            debt = await self._link.run(PEEK, (self._name(key, rate),), (price, most))
        except RedisFault:
            return await self._alone.peek(key, _alone(rate))
        return result_of(rate, debt * MICROSECOND, price * MICROSECOND, allowed=debt <= most)

    async def take_back(self, key: str, rate: Rate) -> None:
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
