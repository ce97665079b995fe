"""Shows that a blocked event loop is noticed."""

import asyncio

import pytest

from backstay.observability import process_metrics
from backstay.observability.metrics import PrometheusMetrics
from backstay.testing.waiting import eventually

pytestmark = pytest.mark.anyio

LAST_TURN = "backstay_event_loop_last_turn_timestamp_seconds"


async def test_a_blocked_event_loop_shows_as_lag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_metrics, "SECONDS", 0.01)
    metrics = PrometheusMetrics()
    metrics.process.start("1", "shop", "2")
    loop = asyncio.get_running_loop()

    def lags(above: float) -> float:
        found = metrics.registry.get_sample_value
        name = "backstay_event_loop_lag_seconds"
        below = found(f"{name}_bucket", {"le": str(above)}) or 0.0
        return (found(f"{name}_count") or 0.0) - below

    await eventually(lambda: bool(metrics.registry.get_sample_value(LAST_TURN, {"worker": "1"})))
    before, end = lags(0.05), loop.time() + 0.2
    while loop.time() < end:
        pass  # blocks the event loop
    await eventually(lambda: lags(0.05) > before)
    metrics.process.stop()
    metrics.process.stop()
