"""Sets how many examples a property test tries; every run tries the same ones."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, seed, settings

T = TypeVar("T", bound=Callable[..., Any])

SEED = int(os.environ.get("TEST_SEED", "0"))
"""Set TEST_SEED to try other examples."""
TIMES = int(os.environ.get("TEST_EXAMPLES", "1"))
"""Factor on the number of examples."""


def examples(count: int = 100, **options: Any) -> Callable[[T], T]:
    """Try a property with this many examples, without a time limit for one."""
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
