"""Counts requests under their rate limits and writes the headers that report them."""

from collections.abc import Callable
from functools import cache, lru_cache
from math import ceil

import structlog
from starlette.types import Scope

from backstay.core.addresses import limit_key
from backstay.core.errors import RateLimited
from backstay.core.principal import Principal
from backstay.core.rates import Limiter, Rate, RateLimitResult, key_of_user
from backstay.limits.classes import GENERAL, LimitClass
from backstay.settings import Settings
from backstay.web.headers import Field

log = structlog.get_logger("backstay.limits")

TIER_RULE = "tier rule"
"""Stands in metrics for all rules of tiers: people write their paths."""


class Limits:
    """Counts requests by limit class; counts none if the settings switch limits off.

    ``refused`` is called with the limit of each refused request: the name of its class, or
    ``TIER_RULE``.
    """

    def __init__(
        self,
        limiter: Limiter,
        settings: Settings,
        refused: Callable[[str], None] = lambda limit: None,
    ) -> None:
        self._limiter = limiter
        self._refused = refused
        self._rate_of: Callable[[LimitClass], Rate | None] = cache(
            lambda limit: limit.rate_in(settings)
        )
        self._without_rule: set[str] = set()

    async def by_address(self, scope: Scope, limit: LimitClass) -> None:
        """Count a request for its client's address.

        Raises:
            RateLimited: too many.
        """
        rate = self._rate_of(limit)
        if rate is not None:
            key = f"{limit.name}:ip:{limit_key(scope['backstay.client_address'])}"
            await self._count(scope, limit.name, key, rate, limit.name)

    async def by_user(self, scope: Scope, principal: Principal, template: str | None) -> None:
        """Count a request for its user, under the tier's rule for the route or the default limit.

        Routes that share a rule share one count, and so do all routes under the default limit.

        Raises:
            RateLimited: too many.
        """
        policy, rate, limit = GENERAL.name, self._rate_of(GENERAL), GENERAL.name
        if rate is None:
            return
        if template is not None:
            rule = principal.rate_rule(template)
            if rule is not None:
                policy, rate, limit = rule.path, rule.rate, TIER_RULE
            elif template not in self._without_rule:
                self._without_rule.add(template)
                log.info("the default limit holds: no rule", path=template, tier=principal.tier)
        await self._count(scope, policy, key_of_user(policy, principal.id), rate, limit)

    async def _count(self, scope: Scope, policy: str, key: str, rate: Rate, limit: str) -> None:
        result = await self._limiter.hit(key, rate)
        scope["backstay.headers"] = _headers(policy, rate.period, result)
        if not result.allowed:
            self._refused(limit)
            wait = max(1, ceil(result.retry_after))
            raise RateLimited(
                f"Retry in {wait} s: {result.limit} requests per {rate.period} s are allowed.",
                headers={"Retry-After": str(wait)},
            )


async def admission_of(scope: Scope) -> None:
    """Wait until the request has been counted, if that still runs in the background.

    Raises:
        RateLimited: too many requests. It takes precedence over any other error of this one.
    """
    admission = scope.get("backstay.admission")
    if admission is not None:
        await admission


@lru_cache(1024)
def _constant(policy: str, limit: int, period: int) -> tuple[bytes, Field, Field]:
    """The name of the policy, and the fields that are the same in every response under it."""
    return (
        policy.encode(),
        (b"ratelimit-policy", f'"{policy}";q={limit};w={period}'.encode()),
        (b"x-ratelimit-limit", str(limit).encode()),
    )


def _headers(policy: str, period: int, result: RateLimitResult) -> tuple[Field, ...]:
    """``RateLimit-Policy``, ``RateLimit`` (IETF httpapi draft), and the older ``X-RateLimit-*``."""
    remaining, reset = b"%d" % result.remaining, b"%d" % ceil(result.reset_after)
    name, of_policy, of_limit = _constant(policy, result.limit, period)
    return (
        of_policy,
        of_limit,
        (b"ratelimit", b'"%b";r=%b;t=%b' % (name, remaining, reset)),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", reset),
    )
