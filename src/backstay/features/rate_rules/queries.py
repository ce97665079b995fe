"""Queries for the rules of a tier and what is used up of them, and for the tier of new users."""

from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.messages import Query
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.rates import DEFAULT, Limiter, Rate, RateLimitResult, RateRule, key_of_user
from backstay.db.session import Reader
from backstay.features.rate_rules.model import RateLimit, Tier
from backstay.settings import AdminSettings

OF_TIER = (
    RateLimit.tier_id == select(Tier.id).where(Tier.name == bindparam("tier")).scalar_subquery()
)
"""The rate limits of the tier whose name is the parameter ``tier``."""


class GetRateRules(Query[tuple[RateRule, ...]]):
    """The rules of a tier, as requests are counted by them."""

    permission = SYSTEM_ONLY

    tier: str


_RULES = select(RateLimit.path, RateLimit.limit, RateLimit.period).where(OF_TIER)


@handles(GetRateRules)
async def get_rate_rules(query: GetRateRules, reader: Reader) -> tuple[RateRule, ...]:
    rows = await reader.rows(_RULES, {"tier": query.tier})
    return tuple(RateRule(row.path, Rate(row.limit, row.period)) for row in rows)


class ListCounts(Query[tuple[RateLimitResult, ...]]):
    """What is counted of a user's requests now: by path, and at last by default."""

    permission = SYSTEM_ONLY

    user_id: UUID
    rates: tuple[tuple[str, Rate], ...]
    default: Rate


@handles(ListCounts)
async def list_counts(query: ListCounts, limiter: Limiter) -> tuple[RateLimitResult, ...]:
    rates = (*query.rates, (DEFAULT, query.default))
    user_id = query.user_id
    return tuple([await limiter.peek(key_of_user(path, user_id), rate) for path, rate in rates])


class GetDefaultTier(Query[str | None]):
    """The tier of new users, or None while it does not exist."""

    permission = SYSTEM_ONLY


_TIER = select(Tier.name).where(Tier.name == bindparam("name"))


@handles(GetDefaultTier)
async def get_default_tier(
    query: GetDefaultTier, reader: Reader, settings: AdminSettings
) -> str | None:
    row = await reader.one_or_none(_TIER, {"name": settings.tier_name})
    return row.name if row else None
