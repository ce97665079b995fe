"""Creates Redis clients for tests, and sets their timeouts."""

from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from backstay.redis import client as redis_client
from backstay.redis import connection as redis_connection
from backstay.redis.client import RedisFault, RedisLink, RedisLinks, RedisRefused
from backstay.settings import RedisAddress
from backstay.settings.groups.redis import RedisUrl
from backstay.testing.waiting import LIMIT

Open = Callable[..., Awaitable[RedisLink]]
"""Opens a Redis client for an address."""
PATIENCE, CONNECT_SECONDS = redis_connection.PATIENCE, redis_client.CONNECT_SECONDS


def address_of(url: str) -> RedisAddress:
    """The parts of a Redis URL."""
    address = RedisUrl(url).address
    assert address is not None
    return address


def link_to(url: str | RedisAddress, registry: CollectorRegistry | None = None) -> RedisLink:
    """A Redis client that is not started yet."""
    address = address_of(url) if isinstance(url, str) else url
    link = RedisLinks(registry or CollectorRegistry()).to(address)
    assert link is not None
    return link


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the timeouts of connections that are opened from now on."""
    monkeypatch.setattr(redis_connection, "PATIENCE", LIMIT)
    monkeypatch.setattr(redis_client, "CONNECT_SECONDS", LIMIT)


def be_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the product's timeouts for connections that are opened from now on."""
    monkeypatch.setattr(redis_connection, "PATIENCE", PATIENCE)
    monkeypatch.setattr(redis_client, "CONNECT_SECONDS", CONNECT_SECONDS)


def vain_commands(link: RedisLink) -> tuple[float, float]:
    """The numbers of commands that failed, and of commands that were not sent."""
    failed, spared = (
        next(sample.value for each in counter.collect() for sample in each.samples)
        for counter in (link._failed, link._short_circuited)
    )
    return failed, spared


def says_unavailable(error: RedisFault) -> bool:
    """Whether Redis cannot be reached or cannot serve: it has not just refused one command."""
    return not isinstance(error, RedisRefused)


def fails_at_once(link: RedisLink) -> None:
    """Assert that a command fails without waiting."""
    with pytest.raises(RedisFault, check=says_unavailable):
        link.call("GET", "key").send(None)
