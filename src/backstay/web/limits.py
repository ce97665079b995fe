"""Rate limits at the edge, with the headers that announce them."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from math import ceil

from starlette.types import Scope

from backstay.core.errors import RateLimited
from backstay.core.ports import Limiter, Rate, Verdict
from backstay.core.principal import Principal
from backstay.web.address import limit_key


class Limit(StrEnum):
    """The limit class of a route. The general one counts users; the others count addresses."""

    EXEMPT = "exempt"
    GENERAL = "default"
    LOGIN = "login"
    REFRESH = "refresh"
    LOGOUT = "logout"
    REGISTER = "register"
    FORGOT = "forgot"
    RESET = "reset"
    VERIFY = "verify"


class Limits:
    """Counts requests by limit class."""

    def __init__(self, limiter: Limiter, rates: Mapping[Limit, Rate]) -> None:
        self._limiter = limiter
        self._rates = rates

    async def by_address(self, scope: Scope, limit: Limit, address: str) -> None:
        """Count a request of an address.

        Raises:
            RateLimited: too many.
        """
        await self._hit(scope, limit, f"{limit}:ip:{limit_key(address)}")

    async def by_user(self, scope: Scope, limit: Limit, principal: Principal) -> None:
        """Count a request of a signed-in user.

        Raises:
            RateLimited: too many.
        """
        await self._hit(scope, limit, f"{limit}:user:{principal.id}")

    async def _hit(self, scope: Scope, limit: Limit, key: str) -> None:
        rate = self._rates.get(limit)
        if rate is None:
            return
        verdict = await self._limiter.hit(key, rate)
        scope["backstay.headers"] = _headers(limit, rate, verdict)
        if not verdict.allowed:
            wait = max(1, ceil(verdict.retry_after))
            raise RateLimited(
                f"Retry in {wait} s: {rate.limit} requests per {rate.period} s are allowed.",
                headers={"Retry-After": str(wait)},
            )


@cache
def _constant(limit: Limit, rate: Rate) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"ratelimit-policy", f'"{limit}";q={rate.limit};w={rate.period}'.encode()),
        (b"x-ratelimit-limit", str(rate.limit).encode()),
    )


def _headers(limit: Limit, rate: Rate, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """``RateLimit-Policy`` and ``RateLimit`` (IETF httpapi draft), and the older three."""
    remaining, reset = b"%d" % verdict.remaining, b"%d" % ceil(verdict.reset_after)
    return [
        *_constant(limit, rate),
        (b"ratelimit", b'"%b";r=%b;t=%b' % (limit.encode(), remaining, reset)),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", reset),
    ]
