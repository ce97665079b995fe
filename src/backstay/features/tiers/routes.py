"""The routes of tiers, of rate limits and of the tiers of users."""

from backstay import Routes
from backstay.features.tiers.commands.assignment import AssignTier
from backstay.features.tiers.commands.rate_limits import (
    CreateRateLimit,
    DeleteRateLimit,
    UpdateRateLimit,
)
from backstay.features.tiers.commands.tiers import CreateTier, DeleteTier, UpdateTier
from backstay.features.tiers.queries import (
    GetRateLimit,
    GetTier,
    GetTierOfUser,
    ListLimitCounters,
    ListRateLimits,
    ListRateLimitsOfUser,
    ListTiers,
)

TIER = "/{name}"
LIMITS = f"{TIER}/rate-limits"
LIMIT = f"{LIMITS}/{{id}}"
NAMED = {"name": "tier"}

routes = Routes("/tiers", tag="tiers", about="Tiers of users, and how often each may ask.")
routes.post("", CreateTier, location="/tiers/{name}")
routes.get("", ListTiers)
routes.get(TIER, GetTier, path_names=NAMED)
routes.patch(TIER, UpdateTier, path_names=NAMED)
routes.delete(TIER, DeleteTier, path_names=NAMED)
routes.post(LIMITS, CreateRateLimit, location="/tiers/{tier}/rate-limits/{id}", path_names=NAMED)
routes.get(LIMITS, ListRateLimits, path_names=NAMED)
routes.get(LIMIT, GetRateLimit, path_names=NAMED)
routes.patch(LIMIT, UpdateRateLimit, path_names=NAMED)
routes.delete(LIMIT, DeleteRateLimit, path_names=NAMED)

user_routes = Routes("/users", tag="users")
user_routes.get("/{id}/tier", GetTierOfUser)
user_routes.put("/{id}/tier", AssignTier)
user_routes.get("/{id}/rate-limits", ListRateLimitsOfUser)
user_routes.get("/{id}/limits", ListLimitCounters)
