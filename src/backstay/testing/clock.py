"""A clock for tests: it stands still until a test moves it."""

from datetime import datetime, timedelta

from backstay.core.clock import utc_now


class FrozenClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        """The time at which it stands."""
        return self.now

    def forward(self, **by: float) -> None:
        """Move it forward; the arguments are those of ``timedelta``, such as ``hours=2``."""
        self.now += timedelta(**by)
