"""Limit classes: what the requests of some routes are counted as, and how often they may come."""

from collections.abc import Callable
from dataclasses import dataclass

from backstay.core.rates import Rate
from backstay.settings import Settings

SHORT_BODY_BYTES = 16_384
"""Whoever signs in or is about to sends little, and anybody may try."""


@dataclass(frozen=True, slots=True, eq=False)
class LimitClass:
    """A feature declares one beside its routes; the requests of a client's address count together.

    Attributes:
        name: what the limit is called in ``RateLimit``, and what keys of counts begin with.
        rate: how often, as the settings say.
        body_bytes: how large a body may be; None where it may be as large as any.
    """

    name: str
    rate: Callable[[Settings], Rate]
    body_bytes: int | None = SHORT_BODY_BYTES

    def rate_in(self, settings: Settings) -> Rate | None:
        """How often; None where limits are switched off."""
        return self.rate(settings) if settings.rate_limit.enabled else None


GENERAL = LimitClass(
    "default",
    lambda settings: Rate(settings.rate_limit.default, settings.rate_limit.period),
    body_bytes=None,
)
"""That of routes which name no other. It counts users, and only strangers by their address; the
tier of a user may have another rate for a route."""
