"""Shows the Redis URL: its forms, its parts, URLs for single uses, and its hidden password."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from backstay.settings import Loaded, RedisAddress, RedisSettings
from backstay.settings.groups.redis import RedisUrl
from tests.examples import examples
from tests.settings.reading import Read, faulty


def redis(loaded: Loaded) -> RedisSettings:
    assert loaded.errors == ()
    assert loaded.settings is not None
    return loaded.settings.redis


@pytest.mark.parametrize("variable", ["REDIS_URL", "REDIS_CACHE_URL", "REDIS_RATE_LIMIT_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "s3cr3t",
        "http://:s3cr3t@host",
        "redis://:s3cr3t@host:port/0",
        "redis://:s3cr3t@host:0",
        "redis://:s3cr3t@host:70000",
        "redis://:s3cr3t@host/zero",
        "redis://:s3cr3t@host/0/1",
        "redis://:s3cr3t@host/-1",
        "redis://:s3cr3t@host?db=1",
        "redis://:s3cr3t@host?ssl_ca_certs=ca.pem",
        "rediss://:s3cr3t@host?ssl_cert_reqs=none",
        "redis://:s3cr3t@ho st",
        "redis://:s3cr3t@[::1",
        "redis://:s3cr3t#4@host",
        "redis://:s3cr3t@host,other",
        "redis+sentinel://:s3cr3t@host,other",
        "redis+sentinel://:s3cr3t@host:0/main",
        "redis+sentinel://:s3cr3t@host/main/x",
        "redis+cluster://:s3cr3t@host,other:0",
        "redis+cluster://:s3cr3t@host/1",
        "redis+proxy://:s3cr3t@host",
        "memory://s3cr3t",
    ],
)
def test_an_invalid_redis_url_is_a_fault_without_repeating_it(
    read: Read, variable: str, url: str
) -> None:
    loaded = read({variable: url})
    assert faulty(loaded) == [variable]
    assert "s3cr3t" not in str(loaded)
    assert "redis://user:password@host:6379/0" in loaded.errors[0].hint


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", RedisAddress("localhost")),
        ("redis://host", RedisAddress("host")),
        ("redis://host:6380/2", RedisAddress("host", 6380, 2)),
        ("redis://:p%40ss@host", RedisAddress("host", password="p@ss")),
        ("redis://app:p%3A%2F@host/", RedisAddress("host", username="app", password="p:/")),
        ("redis://[::1]:6380", RedisAddress("::1", 6380)),
        ("rediss://host", RedisAddress("host", tls=True)),
        (
            "rediss://host/1?ssl_ca_certs=%2Fetc%2Fca.pem",
            RedisAddress("host", db=1, tls=True, ca_certs="/etc/ca.pem"),
        ),
        (
            "redis+sentinel://app:p%2C@one,[::1]:26380/main/2",
            RedisAddress(
                *("one", 26379, 2, "app", "p,"),
                nodes=(("one", 26379), ("::1", 26380)),
                service="main",
            ),
        ),
        (
            "rediss+cluster://one,two:6380",
            RedisAddress("one", tls=True, nodes=(("one", 6379), ("two", 6380))),
        ),
    ],
)
def test_a_url_says_where_and_how(read: Read, url: str, address: RedisAddress) -> None:
    assert redis(read(REDIS_URL=url)).address == address


@pytest.mark.parametrize("environ", [{}, {"REDIS_URL": ""}, {"REDIS_URL": "memory://"}])
def test_without_a_server_everything_stays_in_process(read: Read, environ: dict[str, str]) -> None:
    settings = redis(read(environ))
    assert settings.address is settings.cache_address is settings.rate_limit_address is None


def test_parts_make_a_url(read: Read) -> None:
    loaded = read(REDIS_HOST="host", REDIS_PORT="6380", REDIS_DB="3", REDIS_USERNAME="app")
    assert redis(loaded).address == RedisAddress("host", 6380, 3, "app")
    assert loaded.origins["REDIS_URL"] == (
        "built from REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_USERNAME"
    )
    assert redis(read(REDIS_PASSWORD="p@ss")).address == RedisAddress("localhost", password="p@ss")
    assert redis(read(REDIS_HOST="::1")).address == RedisAddress("::1")


def test_the_url_is_stronger_than_its_parts(read: Read) -> None:
    loaded = read(REDIS_URL="redis://one", REDIS_HOST="other")
    assert redis(loaded).address == RedisAddress("one")
    assert "REDIS_HOST has no effect, since REDIS_URL is set" in loaded.warnings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDIS_HOST", "a/b"),
        ("REDIS_HOST", "user@host"),
        ("REDIS_HOST", "host?x"),
        ("REDIS_HOST", "a b"),
        ("REDIS_PORT", "0"),
        ("REDIS_PORT", "many"),
        ("REDIS_DB", "-1"),
        ("REDIS_DB", "one"),
    ],
)
def test_a_faulty_part_is_the_only_fault(read: Read, variable: str, value: str) -> None:
    loaded = read({"REDIS_PASSWORD": "s3cr3t", variable: value})
    assert faulty(loaded) == [variable]
    assert "s3cr3t" not in str(loaded)


@examples()
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_any_name_and_password_survive_the_url(text: str) -> None:
    address = RedisSettings(username=text, password=SecretStr(text)).address
    assert address is not None
    assert (address.username, address.password) == (text, text)


def test_the_cache_and_the_limits_may_be_elsewhere(read: Read) -> None:
    settings = redis(
        read(
            REDIS_URL="redis://one",
            REDIS_CACHE_URL="redis://two",
            REDIS_RATE_LIMIT_URL="memory://",
        )
    )
    assert settings.address == RedisAddress("one")
    assert settings.cache_address == RedisAddress("two")
    assert settings.rate_limit_address is None
    settings = redis(read(REDIS_URL="redis://one"))
    assert settings.cache_address == settings.rate_limit_address == RedisAddress("one")


def test_the_password_is_hidden_and_nothing_else(read: Read) -> None:
    loaded = read(REDIS_URL="redis://app:s3@cr3t@host/1", REDIS_CACHE_URL="redis://host/2")
    assert loaded.shown["REDIS_URL"] == "redis://app:***@host/1"
    assert loaded.shown["REDIS_CACHE_URL"] == "redis://host/2"
    assert redis(loaded).address == RedisAddress("host", 6379, 1, "app", "s3@cr3t")
    assert "cr3t" not in str(loaded)
    assert str(redis(loaded).address) == "redis://host:6379/1"
    assert "cr3t" not in repr(redis(loaded).address)
    for url in (
        "redis+sentinel://app:*@one:26379,[::1]:1/main/2",
        "redis+cluster://*@one:1,two:2/0",
    ):
        address = RedisUrl(url.replace("*", "s3cr3t")).address
        assert str(address) == re.sub("//.*@", "//", url)
        assert "s3cr3t" not in str(RedisUrl(url.replace("*", ":s3cr3t")))


def test_text_that_is_no_redis_url_is_hidden_completely() -> None:
    for text in ("redis://:s3cr3t@host:70000", "redis://:s3cr3t@[::1"):
        assert "s3cr3t" not in str(RedisUrl(text)) + repr(RedisUrl(text))
