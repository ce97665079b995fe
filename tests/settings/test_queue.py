"""Shows which broker URLs are accepted, and that they are kept secret."""

import pytest

from tests.settings.reading import Read


@pytest.mark.parametrize("url", ["redis://:pw@host:6379/1", "amqp://a:b@host/", "nats://host"])
def test_a_broker_is_understood_and_never_shown(read: Read, url: str) -> None:
    loaded = read(QUEUE_URL=url)
    assert loaded.settings is not None
    assert loaded.settings.queue.url is not None
    assert loaded.settings.queue.url.get_secret_value() == url
    assert url not in loaded.shown["QUEUE_URL"]


@pytest.mark.parametrize(
    "url", ["memory://", "host:1234", "http://me:hush@host", "redis://", "amqp://me:hush@h:x"]
)
def test_any_other_url_is_refused_with_an_example(read: Read, url: str) -> None:
    loaded = read(QUEUE_URL=url)
    (fault,) = loaded.errors
    assert fault.variable == "QUEUE_URL"
    assert "redis://user:password@host" in str(fault)
    assert "hush" not in str(fault)


def test_without_a_broker_there_is_none(read: Read) -> None:
    loaded = read()
    assert loaded.settings is not None
    assert loaded.settings.queue.url is None
