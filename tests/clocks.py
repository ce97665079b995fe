"""A clock of tests for what the product measures by a monotonic one."""

from time import monotonic


class StandingClock:
    """Stands still until it is moved; it begins a while ago, so that it may be moved to now."""

    def __init__(self) -> None:
        self.now = monotonic() - 30

    def __call__(self) -> float:
        return self.now
