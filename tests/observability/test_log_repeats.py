"""Shows that an outage does not fill the log: repeated errors are logged once and counted."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from backstay.core.errors import DatabaseUnavailable
from backstay.db.fair_semaphore import FairSemaphore
from backstay.observability import log_repeats
from backstay.observability.log_repeats import MOST, PERIOD, Repeats
from backstay.observability.logging import configure
from tests.clocks import StandingClock


class Written:
    """A logger with repeat suppression, and what it has written."""

    def __init__(self, settle: Callable[[], None], output: io.StringIO, clock: Any) -> None:
        self.settle, self.clock = settle, clock
        self.log = structlog.get_logger("of this test").new()
        self._output = output

    def taken(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        lines = self._output.getvalue().splitlines()
        self._output.truncate(0)
        self._output.seek(0)
        return [json.loads(line) for line in lines]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    before, output, clock = structlog.get_config(), io.StringIO(), StandingClock()
    monkeypatch.setattr(sys, "stderr", output)
    monkeypatch.setattr(Repeats.__init__, "__defaults__", (clock,))
    yield Written(configure("INFO", "json"), output, clock)
    structlog.configure(**before)


def lost(host: str = "db", **more: Any) -> DatabaseUnavailable:
    """The error of a request while the database is away."""
    try:
        try:
            raise ConnectionRefusedError(f"{host} refuses: postgresql://x:hush@{host}")
        except OSError as error:
            raise DatabaseUnavailable from error
    except DatabaseUnavailable as error:
        return error


def test_a_repeated_error_is_logged_once_per_period_with_count(written: Written) -> None:
    for number in range(1241):
        written.log.warning("unavailable", fault=lost(f"db{number}"), request_id=number)
    (first,) = written.taken()
    assert (first["event"], first["request_id"], first["level"]) == ("unavailable", 0, "warning")
    assert first["reason"].startswith("ConnectionRefusedError: db0 refuses")
    assert first["exception"].startswith("Traceback")
    assert "hush" not in str(first)
    written.clock.now += PERIOD
    written.log.info("request", path="/x")
    summary, request = written.taken()
    assert request["event"] == "request"
    assert {key: summary[key] for key in summary.keys() - {"timestamp"}} == {
        "event": "unavailable",
        "level": "warning",
        "reason": first["reason"],
        "more": 1240,
        "seconds": PERIOD,
    }
    written.log.warning("unavailable", fault=lost())
    (again,) = written.taken()
    assert again["exception"]


def test_suppressed_errors_are_logged_at_the_end(written: Written) -> None:
    for _ in range(3):
        written.log.warning("unavailable", fault=lost())
    written.log.error("other", fault=lost())
    written.settle()
    told = [(event["event"], event.get("more")) for event in written.taken()]
    assert told == [("unavailable", None), ("other", None), ("unavailable", 2)]
    written.settle()
    assert written.taken() == []


def test_a_further_application_logs_an_error_anew(written: Written) -> None:
    log = structlog.get_logger("one of a module, which is kept from its first event on")
    for _ in range(2):
        for _ in range(2):
            log.error("unhandled error", fault=lost())
        configure("INFO", "json")
    assert ["exception" in event for event in written.taken()] == [True, True]


def test_errors_of_another_type_line_or_event_are_logged(written: Written) -> None:
    def fail(kind: type[Exception]) -> None:
        raise kind

    for kind in (TimeoutError, ValueError, TimeoutError):
        try:
            fail(kind)
        except Exception:
            written.log.exception("unhandled error")
    written.log.error("unhandled error", exc_info=TimeoutError())
    written.log.error("another event", exc_info=TimeoutError())
    reasons = [event["reason"] for event in written.taken()]
    assert reasons == ["TimeoutError", "ValueError", "TimeoutError", "TimeoutError"]


def test_events_without_an_error_are_never_dropped(written: Written) -> None:
    for _ in range(3):
        written.log.warning("request", reason="TimeoutError", status=503)
        written.log.error("nothing failed", exc_info=False)
    assert len(written.taken()) == 6


def test_only_so_much_is_remembered_and_nothing_uncounted(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_repeats, "MOST", 2)
    for event in ("a", "a", "b", "c", "a"):
        written.log.error(event, fault=lost())
    told = [(event["event"], event.get("more")) for event in written.taken()]
    assert told == [("a", None), ("b", None), ("a", 1), ("c", None), ("a", None)]
    assert MOST < 1000


async def test_timeouts_of_different_things_count_as_different_errors(written: Written) -> None:
    """All are raised in one line of the standard library; the error of a caller over its own
    share must not hide that no connection is free."""
    turns = FairSemaphore(2, 0.0, each=1)
    with pytest.raises(DatabaseUnavailable) as own:
        async with turns.of("somebody"), turns.of("somebody"):
            pass
    with pytest.raises(DatabaseUnavailable) as anybodys:
        async with turns.of(None), turns.of(None), turns.of(None):
            pass
    for error in (own.value, anybodys.value):
        written.log.warning("unavailable", fault=error)
    reasons = [event["reason"] for event in written.taken()]
    assert reasons == [f"TimeoutError: {error.value.detail}" for error in (own, anybodys)]
