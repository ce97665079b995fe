"""Settings and fixtures under which a slow machine causes no failure.

Its fixtures hold for the tests of a folder whose ``conftest.py`` imports them.
"""

import time
from functools import partial
from pathlib import Path

import pytest

from backstay.composition import adapters
from backstay.limits import redis as redis_limits
from backstay.limits.memory import MemoryLimiter
from backstay.settings import Settings
from backstay.testing import settings_with
from backstay.testing.waiting import LIMIT

PATIENT = {"DB_POOL_TIMEOUT": str(LIMIT)}
"""Settings under which no request is refused for want of a connection."""


@pytest.fixture
def settings(seeded_url: str, tmp_path: Path, variables: dict[str, str]) -> Settings:
    return settings_with(seeded_url, tmp_path, **PATIENT, **variables)


@pytest.fixture(autouse=True)
def still_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for limits: no budget is regained while a test counts."""
    now = time.monotonic_ns()
    for module in (adapters, redis_limits):
        monkeypatch.setattr(module, "MemoryLimiter", partial(MemoryLimiter, clock=lambda: now))
