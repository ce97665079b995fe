"""Time for tests of what is kept in Redis."""

import pytest

from backstay.adapters import cache_memory
from tests.adapters.clocks import StandingClock
from tests.adapters.linking import be_patient


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is not given up because it is late."""
    be_patient(monkeypatch)


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    """The clock of every cache in this process, whose entries do not age by themselves."""
    clock = StandingClock()
    monkeypatch.setattr(cache_memory, "monotonic", clock)
    return clock
