"""The tables of tiers and of their rate limits."""

from uuid import UUID

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.errors import Conflict
from backstay.core.rates import Rate, RateRule
from backstay.db.base import Entity
from backstay.db.faults import taken_by


class _TierNameTaken(Conflict):
    code, title = "tiers.name_taken", "A tier of this name exists"


class _RateLimitExists(Conflict):
    code, title = "tiers.rate_limit_exists", "The tier has a rate limit for this path"


class Tier(Entity):
    """A class of users.

    Its name is its key: the rows of its users hold the name, and are updated if it changes.
    """

    __tablename__ = "tiers"
    __table_args__ = (taken_by(UniqueConstraint("name"), _TierNameTaken),)

    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")


class RateLimit(Entity):
    """How many requests for a path a user of the tier may send: ``limit`` in ``period`` seconds."""

    __tablename__ = "rate_limits"
    __table_args__ = (taken_by(UniqueConstraint("tier_id", "path"), _RateLimitExists),)

    tier_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("tiers.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(200))
    limit: Mapped[int]
    period: Mapped[int]
    name: Mapped[str | None] = mapped_column(String(100))

    @property
    def rule(self) -> RateRule:
        """The rule by which requests are counted."""
        return RateRule(self.path, Rate(self.limit, self.period))
