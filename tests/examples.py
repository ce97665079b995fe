"""How many examples a property is tried with, and which: the same ones each time."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, seed, settings

T = TypeVar("T", bound=Callable[..., Any])

SEED = int(os.environ.get("TEST_SEED", "0"))
"""Another one for whoever looks for more."""
TIMES = int(os.environ.get("TEST_EXAMPLES", "1"))
"""How many times as many examples are tried."""


def examples(count: int = 100, **options: Any) -> Callable[[T], T]:
    """Try a property with so many examples, however long one takes."""
    bounded = settings(
        max_examples=count * TIMES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **options,
    )

    def decorate(test: T) -> T:
        chosen: T = seed(SEED)(bounded(test))
        return chosen

    return decorate
