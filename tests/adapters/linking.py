"""Links of tests to a server, how long they wait for it, and what they log."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import LogCapture
from structlog.typing import EventDict

from backstay.adapters import redis_connection, redis_link
from backstay.adapters.redis_link import RedisLink, RedisUnavailable
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.settings import RedisAddress
from backstay.settings.redis import RedisUrl
from tests.waiting import LIMIT

Open = Callable[..., Awaitable[RedisLink]]
"""Opens a link to an address."""
PATIENCE, CONNECT_SECONDS = redis_connection.PATIENCE, redis_link.CONNECT_SECONDS


def address_of(url: str) -> RedisAddress:
    """The parts of a Redis URL."""
    address = RedisUrl(url).address
    assert address is not None
    return address


def link_to(url: str | RedisAddress, registry: CollectorRegistry | None = None) -> RedisLink:
    """A link that is not started yet."""
    address = address_of(url) if isinstance(url, str) else url
    return RedisLink(address, RedisMetrics(registry or CollectorRegistry()).of("redis"))


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, connections that begin are not given up because Redis is late."""
    monkeypatch.setattr(redis_connection, "PATIENCE", LIMIT)
    monkeypatch.setattr(redis_link, "CONNECT_SECONDS", LIMIT)


def be_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, connections that begin are given up as soon as the product does."""
    monkeypatch.setattr(redis_connection, "PATIENCE", PATIENCE)
    monkeypatch.setattr(redis_link, "CONNECT_SECONDS", CONNECT_SECONDS)


def vain_commands(link: RedisLink) -> tuple[float, float]:
    """How many commands were asked in vain, and how many were not even sent."""
    metrics = link._metrics
    failed, spared = (
        next(sample.value for each in counter.collect() for sample in each.samples)
        for counter in (metrics.failed, metrics.short_circuited)
    )
    return failed, spared


@contextmanager
def logged(module: ModuleType) -> Iterator[list[EventDict]]:
    """What a module logs meanwhile, whatever logging an application has configured before."""
    capture, log = LogCapture(), vars(module)["log"]
    kind = structlog.make_filtering_bound_logger(0)
    vars(module)["log"] = structlog.wrap_logger(None, [capture], kind)
    try:
        yield capture.entries
    finally:
        vars(module)["log"] = log


def fails_at_once(link: RedisLink) -> None:
    """Assert that a command fails before it has waited for anything."""
    with pytest.raises(RedisUnavailable):
        link.call("GET", "key").send(None)
