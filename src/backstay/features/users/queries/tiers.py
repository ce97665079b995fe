"""Queries about the tiers of users."""

from uuid import UUID

from sqlalchemy import bindparam, func, select

from backstay.core.bus import handles
from backstay.core.context import Sender
from backstay.core.errors import NotFound
from backstay.core.messages import FromPath, Query
from backstay.core.principal import Grant, Principal
from backstay.db.session import Reader
from backstay.features.tiers.queries import READ, CountUsersOfTier, ListRulesInForce
from backstay.features.users.model import User
from backstay.features.users.schemas import RateLimitsInForce, UserTier


class GetTierOfUser(Query[UserTier]):
    """The tier that a user is in."""

    permission = READ

    id: FromPath[UUID]


class ListRateLimitsOfUser(Query[RateLimitsInForce]):
    """The rate limits in force for a user: those of the tier, then the default."""

    permission = READ

    id: FromPath[UUID]


_TIER = select(User.tier).where(User.id == bindparam("id"))


@handles(GetTierOfUser)
async def get_tier_of_user(
    query: GetTierOfUser, reader: Reader, principal: Principal, grant: Grant
) -> UserTier:
    return UserTier(tier=await _tier(query.id, reader, principal, grant))


@handles(ListRateLimitsOfUser)
async def list_rate_limits_of_user(
    query: ListRateLimitsOfUser, reader: Reader, principal: Principal, grant: Grant, send: Sender
) -> RateLimitsInForce:
    tier = await _tier(query.id, reader, principal, grant)
    return RateLimitsInForce(tier=tier, items=await send.as_system()(ListRulesInForce(tier=tier)))


async def _tier(user_id: UUID, reader: Reader, principal: Principal, grant: Grant) -> str | None:
    principal.check_reach(user_id, grant)
    row = await reader.one_or_none(_TIER, {"id": user_id})
    if row is None:
        raise NotFound
    tier: str | None = row.tier
    return tier


_COUNT = select(func.count()).select_from(User).where(User.tier == bindparam("tier"))


@handles(CountUsersOfTier)
async def count_users_of_tier(query: CountUsersOfTier, reader: Reader) -> int:
    return int(await reader.scalar(_COUNT, {"tier": query.tier}))
