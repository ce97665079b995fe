"""Shows that commands of one turn of the event loop share a round trip, and get their replies."""

import asyncio
from dataclasses import dataclass, replace

import pytest
from redis.exceptions import DataError

from backstay.redis import client as redis_client
from backstay.redis.client import RedisLink, RedisRefused
from tests.logs import logged
from tests.redis.linking import Open, address_of, link_to
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.usefixtures("patient", "without_beats")


@pytest.fixture
async def link(linked: Open, valkey: ValkeyServer) -> RedisLink:
    return await linked(valkey.url)


async def test_replies_are_bytes_numbers_lists_and_nothing(link: RedisLink) -> None:
    assert await link.call("SET", "key", "é", "PX", 10_000) == b"OK"
    assert await link.call("GET", "key") == "é".encode()
    assert await link.call("GET", "other") is None
    assert await link.call("RPUSH", "list", b"\x00\xff", 1, 0.5) == 3
    assert await link.call("LRANGE", "list", 0, -1) == [b"\x00\xff", b"1", b"0.5"]


async def test_concurrent_commands_share_round_trips_and_get_their_own_replies(
    link: RedisLink, valkey: ValkeyServer
) -> None:
    valkey.call("CONFIG", "RESETSTAT")
    assert await asyncio.gather(*[link.call("ECHO", number) for number in range(200)]) == [
        str(number).encode() for number in range(200)
    ]
    assert valkey.reads() < 8  # with those of the questions asked here


async def test_a_cancelled_command_takes_no_other_reply(link: RedisLink) -> None:
    asking = [asyncio.ensure_future(link.call("ECHO", number)) for number in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    assert await asking[0] == b"0"
    assert await asking[2] == b"2"


async def test_an_error_of_one_command_affects_no_other(link: RedisLink) -> None:
    await link.call("SET", "key", "text")
    wrong = asyncio.ensure_future(link.call("INCR", "key"))
    assert await link.call("GET", "key") == b"text"
    with pytest.raises(RedisRefused):
        await wrong
    assert link.is_up


async def test_a_script_is_sent_once_and_again_when_forgotten(
    link: RedisLink, valkey: ValkeyServer
) -> None:
    script = "return {KEYS[1], ARGV[1], ARGV[2]}"
    valkey.call("CONFIG", "RESETSTAT")
    for _ in range(3):
        assert await link.run(script, ["key"], ["one", 2]) == [b"key", b"one", b"2"]
    assert (valkey.calls_of("eval"), valkey.calls_of("evalsha")) == (1, 3)
    valkey.flush()
    assert await link.run(script, ["key"], ["one", 2]) == [b"key", b"one", b"2"]
    with pytest.raises(RedisRefused, match="no such thing"):
        await link.run("return redis.error_reply('ERR no such thing')", [])


async def test_messages_published_before_a_reply_arrive_before_it(
    linked: Open, valkey: ValkeyServer
) -> None:
    """In any number: no reply comes between them."""
    listener, heard = link_to(valkey.url), Heard([])
    listener.subscribe("news", heard)
    await listener.start()
    publisher = await linked(valkey.url)
    numbers = [str(number).encode() for number in range(3000)]
    await asyncio.gather(*(publisher.call("PUBLISH", "news", number) for number in numbers))
    assert await listener.call("PING") == b"PONG"
    assert heard.news == numbers
    await listener.stop()


@dataclass
class Heard:
    """A subscriber that records messages."""

    news: list[bytes]

    def subscribed(self) -> None:
        self.news.clear()

    def heard(self, payload: bytes) -> None:
        self.news.append(payload)

    def complete_until(self, moment: float) -> None:
        pass


async def test_a_command_that_cannot_be_encoded_affects_no_other(link: RedisLink) -> None:
    asking = asyncio.ensure_future(link.call("ECHO", "this"))
    with pytest.raises(DataError):
        await link.call("ECHO", None)  # type: ignore[arg-type]
    assert await asking == b"this"


async def test_a_server_that_refuses_subscriptions_is_not_used(
    valkey: ValkeyServer,
) -> None:
    valkey.call("ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "-subscribe")
    link = link_to(replace(address_of(valkey.url), username="mute", password="secret"))
    link.subscribe("news", Heard([]))
    with logged(redis_client) as logs:
        await link.start()
        assert not link.is_up
        await link.stop()
    assert "NOPERM" in logs[0]["reason"]
    valkey.call("ACL", "DELUSER", "mute")
