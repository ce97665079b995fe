"""Queries about tiers and rate limits."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.errors import NotFound
from backstay.core.listing import CursorPage, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.principal import Grant, Principal
from backstay.core.rates import Rate, RateRule
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.tiers.model import RateLimit, Tier
from backstay.features.tiers.schemas import (
    RateLimitDetail,
    RateLimitSummary,
    RuleInForce,
    TierDetail,
    TierSummary,
)
from backstay.settings import AdminSettings, RateLimitSettings

LIST = PermissionSpec("tiers", "list", description="List tiers")
READ = PermissionSpec("tiers", "read", description="Read tiers, rate limits and users' tiers")


class ListTiers(ListQuery[TierSummary]):
    """The tiers, newest first."""

    permission = LIST
    cache = Cached(ttl=0, client=True)
    sortable = ("created_at", "updated_at", "name")
    searchable = ("name", "description")

    name: Text | None = None
    description: Text | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


TIERS = Listing(ListTiers, Tier, TierSummary)


class GetTier(Query[TierDetail]):
    """One tier with its rate limits; at the scope `OWN` the tier that the caller is in."""

    permission = READ

    tier: FromPath[str]


_TIER = select(*columns_of(TierSummary, Tier), Tier.version).where(Tier.name == bindparam("name"))
_OF_TIER = (
    RateLimit.tier_id == select(Tier.id).where(Tier.name == bindparam("tier")).scalar_subquery()
)
_LIMITS = select(*columns_of(RateLimitSummary, RateLimit)).where(_OF_TIER).order_by(RateLimit.path)


@handles(GetTier)
async def get_tier(
    query: GetTier, reader: Reader, principal: Principal, grant: Grant
) -> TierDetail:
    _check_reach(query.tier, principal, grant)
    return await tier_detail(query.tier, reader)


async def tier_detail(name: str, reader: Reader) -> TierDetail:
    """The details of a tier.

    Raises:
        NotFound: there is no tier of this name.
    """
    row = await reader.one_or_none(_TIER, {"name": name})
    if row is None:
        raise NotFound
    limits = await reader.rows(_LIMITS, {"tier": name})
    return TierDetail(
        **row._mapping, rate_limits=tuple(RateLimitSummary.model_validate(each) for each in limits)
    )


def _check_reach(tier: str, principal: Principal, grant: Grant) -> None:
    if grant.scope is Scope.OWN and tier != principal.tier:
        raise NotFound


class ListRateLimits(ListQuery[RateLimitSummary]):
    """The rate limits of a tier, newest first."""

    permission = READ
    sortable = ("created_at", "updated_at", "path")
    searchable = ("path",)

    tier: FromPath[str]
    path: Text | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


RATE_LIMITS = Listing(ListRateLimits, RateLimit, RateLimitSummary, where=_OF_TIER)


@handles(ListRateLimits)
async def list_rate_limits(
    query: ListRateLimits, paginate: Paginator, reader: Reader, principal: Principal, grant: Grant
) -> Page[RateLimitSummary] | CursorPage[RateLimitSummary]:
    _check_reach(query.tier, principal, grant)
    if await reader.one_or_none(_TIER, {"name": query.tier}) is None:
        raise NotFound
    return await paginate(RATE_LIMITS, query, scope=Scope.ANY)


class GetRateLimit(Query[RateLimitDetail]):
    """One rate limit of a tier."""

    permission = READ

    tier: FromPath[str]
    id: FromPath[UUID]


_LIMIT = select(*columns_of(RateLimitSummary, RateLimit), RateLimit.version).where(
    RateLimit.id == bindparam("id"), _OF_TIER
)


@handles(GetRateLimit)
async def get_rate_limit(
    query: GetRateLimit, reader: Reader, principal: Principal, grant: Grant
) -> RateLimitDetail:
    _check_reach(query.tier, principal, grant)
    row = await reader.one_or_none(_LIMIT, {"tier": query.tier, "id": query.id})
    if row is None:
        raise NotFound
    return RateLimitDetail(**row._mapping, tier=query.tier)


class GetRateRules(Query[tuple[RateRule, ...]]):
    """The rules of a tier, as requests are counted by them."""

    permission = SYSTEM_ONLY

    tier: str


_RULES = select(RateLimit.path, RateLimit.limit, RateLimit.period, RateLimit.name).where(_OF_TIER)


@handles(GetRateRules)
async def get_rate_rules(query: GetRateRules, reader: Reader) -> tuple[RateRule, ...]:
    rows = await reader.rows(_RULES, {"tier": query.tier})
    return tuple(RateRule(row.path, Rate(row.limit, row.period)) for row in rows)


class ListRulesInForce(Query[tuple[RuleInForce, ...]]):
    """What is counted for the users of a tier, the default last; nothing while limits are off."""

    permission = SYSTEM_ONLY

    tier: str | None


@handles(ListRulesInForce)
async def list_rules_in_force(
    query: ListRulesInForce, reader: Reader, settings: RateLimitSettings
) -> tuple[RuleInForce, ...]:
    if not settings.enabled:
        return ()
    rows = await reader.rows(_RULES.order_by(RateLimit.path), {"tier": query.tier})
    default = RuleInForce(path="*", limit=settings.default, period=settings.period, name="default")
    return (*(RuleInForce.model_validate(row) for row in rows), default)


class GetDefaultTier(Query[str | None]):
    """The tier of new users, or None while it does not exist."""

    permission = SYSTEM_ONLY


@handles(GetDefaultTier)
async def get_default_tier(
    query: GetDefaultTier, reader: Reader, settings: AdminSettings
) -> str | None:
    row = await reader.one_or_none(_TIER, {"name": settings.tier_name})
    return row.name if row else None


class CountUsersOfTier(Query[int]):
    """How many users are in a tier, deleted ones too; the feature that has the users answers."""

    permission = SYSTEM_ONLY

    tier: str
