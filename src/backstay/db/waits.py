"""Who waits for a connection to the database: how many now, and for how long they did."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic


class Waits:
    """Counts who waits for a connection, and tells for how many seconds each has waited."""

    def __init__(self) -> None:
        self.now = 0
        self.observe: Callable[[float], None] = lambda seconds: None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Somebody waits meanwhile."""
        begun = monotonic()
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1
            self.observe(monotonic() - begun)
