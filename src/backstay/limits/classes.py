"""Limit classes: which routes share a rate limit, and how many requests it allows."""

from collections.abc import Callable
from dataclasses import dataclass, field

from backstay.core.rates import DEFAULT, Rate
from backstay.core.wiring import Place
from backstay.settings import Settings

SHORT_BODY_BYTES = 16_384
"""Bytes: requests that sign in are small, and any anonymous client may send them."""


@dataclass(frozen=True, slots=True, eq=False)
class LimitClass:
    """A rate limit that a feature declares beside its routes; requests count per client address.

    Attributes:
        name: the name in the header ``RateLimit``, and the prefix of the keys that count. Requests
            of two classes of one name would count together, so each has a name of its own.
        rate: the rate, as a function of the settings.
        body_bytes: the largest request body; None for the general limit of bodies.
    """

    name: str
    rate: Callable[[Settings], Rate]
    body_bytes: int | None = SHORT_BODY_BYTES
    place: Place = field(default_factory=Place.of_caller, init=False, repr=False)

    def rate_in(self, settings: Settings) -> Rate | None:
        """The rate under these settings; None where limits are switched off."""
        return self.rate(settings) if settings.rate_limit.enabled else None


GENERAL = LimitClass(
    DEFAULT,
    lambda settings: Rate(settings.rate_limit.default, settings.rate_limit.period),
    body_bytes=None,
)
"""The class of routes that name no other. It counts signed-in users by their id and anonymous
clients by their address; a user's tier may set another rate for a route."""
