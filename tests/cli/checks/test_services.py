"""Shows what is found of Redis, mail servers and brokers that are away, full, or refuse."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.cli.checks import redis
from backstay.jobs import notify
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT
from tests.cli.checks.looking import PRODUCTION, look, subject_of
from tests.services.nats import NatsServer
from tests.services.smtp import NAME, PASSWORD, smtp_server
from tests.services.valkey import ValkeyServer

SMTP = {"MAIL_BACKEND": "smtp", "MAIL_HOST": "127.0.0.1"}


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_sound_redis_is_well(valkey: ValkeyServer, tmp_path: Path) -> None:
    told = await look(subject_of(tmp_path, REDIS_URL=valkey.url), "redis")
    assert told["redis.version"].startswith("ok: Valkey 9.")
    assert told.pop("redis.memory").startswith("note: It has no limit of memory")
    assert all(each.startswith("ok: ") for each in told.values()), told
    assert valkey.password not in str(told)


async def test_without_redis_nothing_is_said(tmp_path: Path) -> None:
    told = await look(subject_of(tmp_path), "redis", "jobs.broker", "mail.server")
    assert set(told.values()) == {""}


async def test_a_redis_that_is_away_or_silent_is_told(
    silent: int, valkey: ValkeyServer, tmp_path: Path
) -> None:
    for url, cause, seconds in (
        (f"redis://127.0.0.1:{free_port()}/0", "error: It does not answer: ", LIMIT),
        (f"redis://:wrong@127.0.0.1:{valkey.port}/0", "error: It does not answer: ", LIMIT),
        (f"redis://127.0.0.1:{silent}/0", "error: No answer within 0.3 s.", 0.3),
    ):
        told = await look(subject_of(tmp_path, REDIS_URL=url), "redis", seconds=seconds)
        assert told.pop("redis.reachable").startswith(cause)
        assert set(told.values()) == {"skipped"}


async def test_several_servers_are_told_apart(valkey: ValkeyServer, tmp_path: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    subject = subject_of(tmp_path, REDIS_URL=valkey.url, REDIS_CACHE_URL=away)
    lines = (await look(subject, "redis.reachable"))["redis.reachable"].splitlines()
    assert lines[0].startswith(f"ok: redis://127.0.0.1:{valkey.port}/0: ")
    assert lines[1].startswith(f"error: {away}: It does not answer: ")


async def test_a_full_redis_is_told(valkey: ValkeyServer, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, REDIS_URL=valkey.url)
    valkey.call("CONFIG", "SET", "maxmemory", "1gb")
    try:
        told = await look(subject, "redis.memory")
        assert told["redis.memory"].startswith("warning: Once it is full, it refuses")
        valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert (await look(subject, "redis.memory"))["redis.memory"].startswith("ok: ")
        valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        valkey.call("CONFIG", "SET", "maxmemory", "1")
        told = await look(subject, "redis.memory", "redis.writable")
    finally:
        valkey.call("CONFIG", "SET", "maxmemory", "0")
    assert told["redis.memory"].startswith("error: ")
    assert told["redis.writable"].startswith("error: It refuses to be written: OOM ")
    assert "maxmemory-policy allkeys-lru" in told["redis.writable"]


async def test_a_replica_and_what_it_keeps_are_told(valkey: ValkeyServer, tmp_path: Path) -> None:
    valkey.call("REPLICAOF", "127.0.0.1", free_port())
    valkey.call("CONFIG", "SET", "appendonly", "yes")
    try:
        told = await look(subject_of(tmp_path, REDIS_URL=valkey.url), "redis")
    finally:
        valkey.call("CONFIG", "SET", "appendonly", "no")
        valkey.call("REPLICAOF", "NO", "ONE")
    assert told["redis.writable"].startswith("error: It refuses to be written: READONLY ")
    assert told["redis.persistence"].startswith("note: It keeps a log of all writes")


async def test_a_user_who_may_not_ask_is_told(valkey: ValkeyServer, tmp_path: Path) -> None:
    valkey.call("ACL", "SETUSER", "ann", "on", ">a-long-password", "+ping", "+hello", "+client")
    url = valkey.url.replace(f":{valkey.password}@", "ann:a-long-password@")
    try:
        told = await look(subject_of(tmp_path, REDIS_URL=url), "redis")
    finally:
        valkey.call("ACL", "DELUSER", "ann")
    assert told["redis.memory"].startswith("note: It does not tell its user about itself")
    assert told["redis.writable"].startswith("error: It refuses to be written: NOPERM ")
    assert "password" not in str(told).replace("a-long-password", "")


async def test_a_wrong_clock_of_redis_is_told(
    valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "time", lambda: time.time() - 3600)
    told = await look(subject_of(tmp_path, REDIS_URL=valkey.url), "redis.clock")
    assert told["redis.clock"].startswith("error: The clock of the Redis is 3")


def test_an_old_redis_is_told() -> None:
    assert redis.version_finding({"redis_version": "5.0.14"}).severity == "error"
    assert redis.version_finding({"redis_version": "7.2.4"}).severity == "ok"


async def test_a_mail_server_is_asked_and_gets_no_mail(tmp_path: Path) -> None:
    mail = SMTP | {"MAIL_TLS": "none"}
    with smtp_server(port := free_port()) as box:
        told = await look(subject_of(tmp_path, **mail, MAIL_PORT=str(port)), "mail.server")
        assert told["mail.server"].startswith(f"ok: 127.0.0.1:{port}, none, without signing in")
        login = {"MAIL_USERNAME": NAME, "MAIL_PASSWORD": PASSWORD}
        told = await look(subject_of(tmp_path, **mail, **login, MAIL_PORT=str(port)), "mail.server")
        assert told["mail.server"].startswith("error: ")
        assert PASSWORD not in told["mail.server"]
        subject = subject_of(tmp_path, **SMTP, MAIL_PORT=str(port))
        assert (await look(subject, "mail.server"))["mail.server"].startswith("error: ")
    told = await look(subject_of(tmp_path, **mail, MAIL_PORT=str(port)), "mail.server")
    assert "does not answer as MAIL_HOST" in told["mail.server"]
    assert box.mails == []


async def test_a_mail_server_that_is_silent_is_told(silent: int, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, **SMTP, MAIL_PORT=str(silent))
    told = await look(subject, "mail.server", seconds=0.3)
    assert told["mail.server"].startswith("error: No answer within 0.3 s.")


async def test_mail_that_reaches_nobody_is_told(tmp_path: Path) -> None:
    for variables, told in (
        ({}, "warning: No mail server is configured"),
        ({"MAIL_BACKEND": "file"}, "warning: MAIL_BACKEND is file"),
        ({"MAIL_HOST": "mail.example.org"}, "ok: smtp"),
    ):
        subject = subject_of(tmp_path, **PRODUCTION, **variables)
        assert (await look(subject, "mail.backend"))["mail.backend"].startswith(told)
    sender = subject_of(tmp_path, **PRODUCTION, MAIL_HOST="mail.example.org")
    told = (await look(sender, "mail.sender"))["mail.sender"]
    assert told.startswith("warning: Mails are from noreply@localhost")


async def test_brokers_that_answer_and_others_are_told_apart(
    valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PATIENCE", LIMIT)
    nobody = free_port()
    with NatsServer() as nats:
        for url, told in (
            (valkey.url, "ok: redis"),
            (nats.url, "ok: nats"),
            (f"redis://:hunter2hunter2@127.0.0.1:{nobody}/0", "error: The broker (redis)"),
            (f"amqp://ann:hunter2hunter2@127.0.0.1:{nobody}/", "error: The broker (amqp)"),
        ):
            found = await look(subject_of(tmp_path, QUEUE_URL=url), "jobs.broker")
            assert found["jobs.broker"].startswith(told), found
            assert "hunter2" not in found["jobs.broker"]


async def test_a_broker_that_is_silent_is_told(silent: int, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, QUEUE_URL=f"nats://127.0.0.1:{silent}")
    told = await look(subject, "jobs.broker", seconds=0.3)
    assert told["jobs.broker"].startswith("error: No answer within 0.3 s.")
