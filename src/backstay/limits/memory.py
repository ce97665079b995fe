"""The Limiter port without Redis: in the memory of one process, or switched off."""

import time
from collections import OrderedDict
from collections.abc import Callable

from backstay.core.rates import Rate, RateLimitResult

MAX_KEYS = 100_000
SAMPLE = 8
SECOND = 1_000_000_000


class MemoryLimiter:
    """GCRA whose burst is the limit: each request adds to a debt that decreases with time.

    Each key has one number: the moment (ns) at which its debt is zero and it may be dropped. A new
    key first checks the ``SAMPLE`` keys that were checked longest ago and drops those without a
    debt. If the map is full and all of them have a debt, the one with the smallest is dropped. So
    an attacker who wants a counter dropped must keep 100,000 other keys with a larger debt.
    """

    def __init__(
        self, clock: Callable[[], int] = time.monotonic_ns, max_keys: int = MAX_KEYS
    ) -> None:
        self._clock = clock
        self._max_keys = max_keys
        self._paid_at: OrderedDict[str, int] = OrderedDict()

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        name, now, price = _named(key, rate), self._clock(), price_of(rate)
        known = self._paid_at.get(name)
        debt = 0 if known is None or known < now else known - now
        if debt > price * (rate.limit - 1):
            return result_of(rate, debt, price, allowed=False, of_process=True)
        if known is None:
            self._make_room(now)
        self._paid_at[name] = now + debt + price
        return result_of(rate, debt + price, price, allowed=True, of_process=True)

    async def peek(self, key: str, rate: Rate) -> RateLimitResult:
        now, price = self._clock(), price_of(rate)
        debt = max(0, self._paid_at.get(_named(key, rate), now) - now)
        allowed = debt <= price * (rate.limit - 1)
        return result_of(rate, debt, price, allowed=allowed, of_process=True)

    async def take_back(self, key: str, rate: Rate) -> None:
        name = _named(key, rate)
        if name in self._paid_at:
            self._paid_at[name] -= price_of(rate)

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._paid_at)

    def _make_room(self, now: int) -> None:
        count = min(SAMPLE, len(self._paid_at))
        seen = dict(self._paid_at.popitem(last=False) for _ in range(count))
        owing = {name: paid_at for name, paid_at in seen.items() if paid_at > now}
        if len(self._paid_at) + len(owing) >= self._max_keys:
            del owing[min(owing, key=owing.__getitem__)]
        self._paid_at.update(owing)


class NoLimiter:
    """Allows every request and counts none: limits are switched off."""

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        return RateLimitResult(True, rate.limit, rate.limit, 0, 0)

    async def peek(self, key: str, rate: Rate) -> RateLimitResult:
        return await self.hit(key, rate)

    async def take_back(self, key: str, rate: Rate) -> None:
        """Nothing was counted."""


def _named(key: str, rate: Rate) -> str:
    return f"{rate.limit}/{rate.period}:{key}"


def price_of(rate: Rate) -> int:
    """The debt that one request adds: its share of the period, in nanoseconds."""
    return SECOND * rate.period // rate.limit or 1


def result_of(
    rate: Rate, debt: int, price: int, *, allowed: bool, of_process: bool = False
) -> RateLimitResult:
    """The result for a debt; ``debt`` and ``price`` are in nanoseconds."""
    return RateLimitResult(
        allowed,
        rate.limit,
        (price * rate.limit - debt) // price,
        debt / SECOND,
        0.0 if allowed else (debt - price * (rate.limit - 1)) / SECOND,
        of_process,
    )
