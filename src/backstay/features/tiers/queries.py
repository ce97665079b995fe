"""Queries about tiers, their rate limits and their users."""

from datetime import datetime
from math import ceil
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay import (
    SYSTEM_ONLY,
    Cached,
    CursorPage,
    FromPath,
    GetUser,
    Grant,
    Listing,
    ListQuery,
    NotFound,
    Page,
    Paginator,
    PermissionSpec,
    Principal,
    Query,
    Range,
    Rate,
    RateLimitSettings,
    Reader,
    Scope,
    Sender,
    Text,
    columns_of,
    handles,
)
from backstay.features.rate_rules.model import RateLimit, Tier
from backstay.features.rate_rules.queries import OF_TIER, ListCounts
from backstay.features.tiers.schemas import (
    LimitCounter,
    LimitCounters,
    RateLimitDetail,
    RateLimitsInForce,
    RateLimitSummary,
    RuleInForce,
    TierDetail,
    TierSummary,
    UserTier,
)

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
_LIMITS = select(*columns_of(RateLimitSummary, RateLimit)).where(OF_TIER).order_by(RateLimit.path)


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


RATE_LIMITS = Listing(ListRateLimits, RateLimit, RateLimitSummary, where=OF_TIER)


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
    RateLimit.id == bindparam("id"), OF_TIER
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


class ListRulesInForce(Query[tuple[RuleInForce, ...]]):
    """What is counted for the users of a tier, the default last; nothing while limits are off."""

    permission = SYSTEM_ONLY

    tier: str | None


_RULES = select(*columns_of(RuleInForce, RateLimit)).where(OF_TIER).order_by(RateLimit.path)


@handles(ListRulesInForce)
async def list_rules_in_force(
    query: ListRulesInForce, reader: Reader, settings: RateLimitSettings
) -> tuple[RuleInForce, ...]:
    if not settings.enabled:
        return ()
    rows = await reader.rows(_RULES, {"tier": query.tier})
    default = RuleInForce(path="*", limit=settings.default, period=settings.period, name="default")
    return (*(RuleInForce.model_validate(row) for row in rows), default)


class GetTierOfUser(Query[UserTier]):
    """The tier that a user is in."""

    permission = READ

    id: FromPath[UUID]


@handles(GetTierOfUser)
async def get_tier_of_user(
    query: GetTierOfUser, principal: Principal, grant: Grant, send: Sender
) -> UserTier:
    return UserTier(tier=await _tier_of(query.id, principal, grant, send))


class ListRateLimitsOfUser(Query[RateLimitsInForce]):
    """The rate limits in force for a user: those of the tier, then the default."""

    permission = READ

    id: FromPath[UUID]


@handles(ListRateLimitsOfUser)
async def list_rate_limits_of_user(
    query: ListRateLimitsOfUser, principal: Principal, grant: Grant, send: Sender
) -> RateLimitsInForce:
    tier = await _tier_of(query.id, principal, grant, send)
    return RateLimitsInForce(tier=tier, items=await send.as_system()(ListRulesInForce(tier=tier)))


class ListLimitCounters(Query[LimitCounters]):
    """How many requests of a user are counted now, under each limit in force; counts none."""

    permission = PermissionSpec("limits", "read", description="See what users have used of limits")

    id: FromPath[UUID]


@handles(ListLimitCounters)
async def list_limit_counters(
    query: ListLimitCounters, principal: Principal, grant: Grant, send: Sender
) -> LimitCounters:
    tier = await _tier_of(query.id, principal, grant, send)
    rules = await send.as_system()(ListRulesInForce(tier=tier))
    if not rules:
        return LimitCounters(tier=tier, of_process=False, items=())
    *rates, (_, default) = [(rule.path, Rate(rule.limit, rule.period)) for rule in rules]
    counts = await send.as_system()(
        ListCounts(user_id=query.id, rates=tuple(rates), default=default)
    )
    return LimitCounters(
        tier=tier,
        of_process=any(each.of_process for each in counts),
        items=tuple(
            LimitCounter(
                **rule.model_dump(),
                used=rule.limit - count.remaining,
                remaining=count.remaining,
                reset_after=ceil(count.reset_after),
            )
            for rule, count in zip(rules, counts, strict=True)
        ),
    )


async def _tier_of(user_id: UUID, principal: Principal, grant: Grant, send: Sender) -> str | None:
    principal.check_reach(user_id, grant)
    return (await send.as_system()(GetUser(id=user_id))).tier
