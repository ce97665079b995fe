"""Rate limits at the edge, with the headers that announce them."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from math import ceil

import structlog
from starlette.types import Scope

from backstay.core.addresses import limit_key
from backstay.core.errors import RateLimited
from backstay.core.ports import Limiter, Verdict
from backstay.core.principal import Principal
from backstay.core.rates import Rate
from backstay.web.address import ClientAddress

AUTH_BODY_BYTES = 16_384
"""Whoever signs in or is about to sends little, and anybody may try."""
log = structlog.get_logger("backstay.limits")


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

    @property
    def body_bytes(self) -> int | None:
        """How large the bodies of its routes may be, where that is less than on other routes."""
        return None if self in {Limit.EXEMPT, Limit.GENERAL} else AUTH_BODY_BYTES


class Limits:
    """Counts requests by limit class."""

    def __init__(
        self, limiter: Limiter, rates: Mapping[Limit, Rate], client_address: ClientAddress
    ) -> None:
        self._limiter = limiter
        self._rates = rates
        self._client_address = client_address
        self._without_rule: set[str] = set()

    async def by_address(self, scope: Scope, limit: Limit) -> None:
        """Count a request of the client's address.

        Raises:
            RateLimited: too many.
        """
        await self._hit(scope, limit, f"{limit}:ip:{limit_key(self._client_address(scope))}")

    async def by_user(self, scope: Scope, principal: Principal, template: str | None) -> None:
        """Count a request of a signed-in user under the tier's rule for the route, if any.

        All that one rule names counts together, and so does all that falls under the default.

        Raises:
            RateLimited: too many.
        """
        rule = principal.rules.find(template) if template is not None else None
        if rule is None:
            if template is not None and template not in self._without_rule:
                self._tell(template, principal)
            await self._hit(scope, Limit.GENERAL, f"{Limit.GENERAL}:user:{principal.id}")
        elif Limit.GENERAL in self._rates:
            await self._count(scope, rule.path, f"{rule.path}:user:{principal.id}", rule.rate)

    def _tell(self, template: str, principal: Principal) -> None:
        self._without_rule.add(template)
        if Limit.GENERAL in self._rates:
            log.info("the default limit holds: no rule", path=template, tier=principal.tier)

    async def _hit(self, scope: Scope, limit: Limit, key: str) -> None:
        rate = self._rates.get(limit)
        if rate is not None:
            await self._count(scope, limit, key, rate)

    async def _count(self, scope: Scope, policy: str, key: str, rate: Rate) -> None:
        verdict = await self._limiter.hit(key, rate)
        scope["backstay.headers"] = _headers(policy, rate.period, verdict)
        if not verdict.allowed:
            wait = max(1, ceil(verdict.retry_after))
            raise RateLimited(
                f"Retry in {wait} s: {verdict.limit} requests per {rate.period} s are allowed.",
                headers={"Retry-After": str(wait)},
            )


async def admission_of(scope: Scope) -> None:
    """Wait for the verdict about a request, if it is still under way.

    Raises:
        RateLimited: too many requests; whatever else was wrong with this one.
    """
    admission = scope.get("backstay.admission")
    if admission is not None:
        await admission


@lru_cache(1024)
def _constant(policy: str, limit: int, period: int) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"ratelimit-policy", f'"{policy}";q={limit};w={period}'.encode()),
        (b"x-ratelimit-limit", str(limit).encode()),
    )


def _headers(policy: str, period: int, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """``RateLimit-Policy`` and ``RateLimit`` (IETF httpapi draft), and the older three."""
    remaining, reset = b"%d" % verdict.remaining, b"%d" % ceil(verdict.reset_after)
    return [
        *_constant(policy, verdict.limit, period),
        (b"ratelimit", b'"%b";r=%b;t=%b' % (policy.encode(), remaining, reset)),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", reset),
    ]
