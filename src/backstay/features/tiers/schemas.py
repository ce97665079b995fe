"""The views of tiers, of rate limits and of the tiers of users; the constraints of their fields."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from backstay import View


def _rule_path(value: str) -> str:
    """Refuse characters that the ``RateLimit`` header cannot hold.

    The path is the name of the policy there, a string of RFC 9651.
    """
    if not re.fullmatch(r"/[!#-)+-\[\]-~]*\*?", value):
        raise PydanticCustomError(
            "rule_path", "A path begins with / and holds * at its end only, as /api/v1/items* does"
        )
    return value


TierDescription = Annotated[str, StringConstraints(max_length=10_000)]
RulePath = Annotated[
    str,
    StringConstraints(max_length=200),
    AfterValidator(_rule_path),
    Field(description="The template of a route, or a prefix of some that ends in `*`."),
]
RuleName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Times = Annotated[int, Field(ge=1, le=1_000_000_000, description="Requests per period.")]
Period = Annotated[int, Field(ge=1, le=31_536_000, description="Seconds.")]


class TierSummary(View):
    """A tier in a list."""

    id: UUID
    name: str
    description: str
    created_at: datetime
    updated_at: datetime


class RateLimitSummary(View):
    """A rate limit in a list."""

    id: UUID
    path: str
    limit: int
    period: int
    name: str | None
    created_at: datetime
    updated_at: datetime


class RateLimitDetail(RateLimitSummary):
    """A rate limit of a tier."""

    tier: str
    version: int


class TierDetail(TierSummary):
    """A tier with its rate limits."""

    version: int
    rate_limits: tuple[RateLimitSummary, ...]


class RuleInForce(View):
    """How often somebody may ask for a path: `limit` times in `period` seconds."""

    path: str
    limit: int
    period: int
    name: str | None


class UserTier(View):
    """The tier of a user."""

    tier: str | None


class LimitCounter(RuleInForce):
    """How much of a limit is used up: in `reset_after` seconds nothing will be."""

    used: int
    remaining: int
    reset_after: int


class LimitCounters(View):
    """What is counted of a user's requests, by path; empty when nothing is limited.

    With `of_process` only the process that answers was asked, because the processes count alone:
    there is no Redis, or it does not answer.
    """

    tier: str | None
    of_process: bool
    items: tuple[LimitCounter, ...]


class RateLimitsInForce(View):
    """How often a user may ask, by path; empty when nothing is limited."""

    tier: str | None
    items: tuple[RuleInForce, ...]
