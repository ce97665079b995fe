"""Links of tests to a server, and what they log."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import LogCapture
from structlog.typing import EventDict

from backstay.adapters.redis_link import RedisLink
from backstay.adapters.redis_metrics import RedisMetrics
from backstay.settings import RedisAddress
from backstay.settings.redis import RedisUrl


def address_of(url: str) -> RedisAddress:
    """The parts of a Redis URL."""
    address = RedisUrl(url).address
    assert address is not None
    return address


def link_to(url: str | RedisAddress, registry: CollectorRegistry | None = None) -> RedisLink:
    """A link that is not started yet."""
    address = address_of(url) if isinstance(url, str) else url
    return RedisLink(address, RedisMetrics(registry or CollectorRegistry()).of("redis"))


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
