"""Shows what is logged and counted when Redis is lost or was never reached."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from backstay.redis import client as redis_client
from backstay.redis.client import RedisFault, RedisRefused
from backstay.testing.waiting import LIMIT, eventually
from tests.logs import logged
from tests.redis.linking import Open, address_of, fails_at_once, says_unavailable
from tests.services.valkey import ValkeyServer


@pytest.mark.usefixtures("patient")
async def test_loss_and_return_are_logged_once_each_without_the_password(
    linked: Open, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "STEADY_SECONDS", LIMIT)
    with logged(redis_client) as logs:
        link = await linked(valkey.url)
        for _ in range(2):
            valkey.kill()
            await eventually(lambda: not link.is_up)
            valkey.start()
            await eventually(lambda: link.is_up)
        monkeypatch.setattr(redis_client, "STEADY_SECONDS", 0)
        await eventually(lambda: "back" in logs[-1]["event"])
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "redis lost: each process goes on by itself"),
        ("info", "redis is back"),
    ]
    assert str(valkey.port) in logs[0]["address"]
    assert valkey.password not in str(logs)


@pytest.mark.usefixtures("patient")
async def test_a_wrong_password_is_logged_without_showing_it(
    linked: Open, valkey: ValkeyServer
) -> None:
    with logged(redis_client) as logs:
        link = await linked(replace(address_of(valkey.url), password="a-wrong-guess"))
        fails_at_once(link)
    assert "WRONGPASS" in logs[0]["reason"]
    assert "a-wrong-guess" not in str(logs)


@pytest.mark.parametrize(
    "change",
    [{"host": "no-such-host.invalid"}, {"host": "x" * 70}, {"port": 1}, {"tls": True}],
    ids=["no such host", "no host name", "nobody there", "no TLS"],
)
async def test_a_server_never_reached_is_logged_and_done_without(
    linked: Open, valkey: ValkeyServer, change: dict[str, object]
) -> None:
    with logged(redis_client) as logs:
        link = await linked(replace(address_of(valkey.url), **change))  # type: ignore[arg-type]
        assert not link.is_up
    assert [entry["event"] for entry in logs] == ["redis lost: each process goes on by itself"]
    assert logs[0]["reason"]


@pytest.mark.usefixtures("patient", "without_beats")
async def test_failed_and_skipped_commands_are_counted(linked: Open, valkey: ValkeyServer) -> None:
    registry = CollectorRegistry()

    def value(name: str) -> float | None:
        return registry.get_sample_value(
            f"backstay_redis_{name}", {"address": str(address_of(valkey.url))}
        )

    link = await linked(valkey.url, registry)
    assert value("up") == 1
    with pytest.raises(RedisRefused):
        await link.call("NO-SUCH-COMMAND")
    valkey.freeze()
    asking = asyncio.ensure_future(link.call("PING"))
    await asyncio.sleep(0)
    valkey.kill()
    with pytest.raises(RedisFault, check=says_unavailable):
        await asking
    for _ in range(3):
        fails_at_once(link)
    assert value("up") == 0
    assert value("failed_commands_total") == 2
    assert value("short_circuited_commands_total") == 3
    valkey.start()
    await eventually(lambda: value("up") == 1)


@pytest.mark.usefixtures("patient")
async def test_a_stopped_client_logs_nothing_and_can_be_started_again(
    linked: Open, valkey: ValkeyServer
) -> None:
    with logged(redis_client) as logs:
        link = await linked(valkey.url)
        await link.stop()
        fails_at_once(link)
        await link.start()
        await eventually(lambda: link.is_up)
    assert logs == []
