"""Shows how lists, rates, origins, networks, hosts, addresses and paths are read."""

import json
import os
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backstay.core.rates import UNITS, Rate
from backstay.settings import AppSettings, ServerSettings, parse_rate
from backstay.settings.fields import split
from tests.examples import examples
from tests.settings.reading import Read, faulty

PLAIN = st.text(st.characters(exclude_characters=",[", exclude_categories=["C", "Z"]), min_size=1)


@pytest.mark.parametrize(
    "text", ["[", "[1]", '["a", 2]', '["a"', "[a, b]", '["a"] x', "[[]]", "[" * 100_000]
)
def test_a_broken_json_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON list"):
        split(text)


def test_a_broken_list_is_refused_without_repeating_a_secret(read: Read) -> None:
    loaded = read(SECURITY_PREVIOUS_KEYS='["hidden-key')
    assert faulty(loaded) == ["SECURITY_PREVIOUS_KEYS"]
    assert "hidden-key" not in str(loaded.errors)


@pytest.mark.parametrize("text", ["", "  ", ",", " , ", "[]", " [ ] "])
def test_an_empty_text_is_an_empty_list(text: str) -> None:
    assert split(text) == ()


def test_commas_and_json_mean_the_same() -> None:
    assert split(" a , b,,c ") == split('["a", "b", "c"]') == ("a", "b", "c")


def test_lists_given_in_code_are_taken_as_they_are() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    settings = ServerSettings(trusted_hosts=("a", "b"), trusted_proxies=networks)
    assert settings.trusted_hosts == ("a", "b")
    assert settings.trusted_proxies == networks


@examples()
@given(st.lists(st.text()))
def test_every_list_survives_json(entries: list[str]) -> None:
    assert split(json.dumps(entries)) == tuple(entries)


@examples()
@given(st.lists(PLAIN))
def test_every_list_of_plain_words_survives_commas(entries: list[str]) -> None:
    assert split(", ".join(entries)) == tuple(entries)


@examples()
@given(st.text())
def test_any_text_is_a_list_or_is_refused(text: str) -> None:
    try:
        entries = split(text)
    except ValueError:
        assert text.strip().startswith("[")
    else:
        assert isinstance(entries, tuple)


def test_an_empty_list_replaces_the_default(read: Read) -> None:
    settings = read(APP_CORS_ORIGINS="").settings
    assert settings is not None
    assert settings.app.cors_origins == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5/",
        "/minute",
        "0/minute",
        "-5/minute",
        "5.5/minute",
        "5/fortnight",
        "5/minutes",
        "five/minute",
        "5 per minute",
        "5//minute",
        "05/minute",
        "\u0665/minute",
        "9999999999/minute",
    ],
)
def test_an_invalid_rate_is_refused(text: str, read: Read) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)
    if text:
        loaded = read(SECURITY_LOGIN_RATE_LIMIT=text)
        assert faulty(loaded) == ["SECURITY_LOGIN_RATE_LIMIT"]


@examples()
@given(st.integers(1, 999_999_999), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_every_rate_is_read_and_written_alike(limit: int, unit: str, space: str) -> None:
    rate = parse_rate(f"{space}{limit}{space}/{space}{unit}{space}")
    assert rate == Rate(limit, UNITS[unit])
    assert parse_rate(str(rate)) == rate


@examples()
@given(st.text())
def test_any_other_text_is_no_rate(text: str) -> None:
    try:
        rate = parse_rate(text)
    except ValueError:
        return
    assert rate.limit > 0
    assert rate.period in UNITS.values()


def test_a_rate_of_an_unusual_period_can_be_shown() -> None:
    assert str(Rate(5, 90)) == "5/90 s"


def test_auth_rate_limits_are_strict(read: Read) -> None:
    settings = read(SECURITY_REFRESH_RATE_LIMIT="3/hour").settings
    assert settings is not None
    security = settings.security
    assert security.login_rate_limit == Rate(5, 60, strict=True)
    assert security.refresh_rate_limit == Rate(3, 3600, strict=True)
    rest = {security.logout_rate_limit, security.register_rate_limit, security.verify_rate_limit}
    assert rest == {Rate(10, 60, strict=True)}


@pytest.mark.parametrize("environment", ["local", "production"])
@pytest.mark.parametrize(
    "origins",
    [
        "*",
        "https://a.example.com,*",
        "https://*.example.com",
        "https://.*",
        r"https://(a|b)\.example\.com",
        "https://example.com/path",
        "https://example.com?x",
        "https://user@example.com",
        "example.com",
        "null",
        "https://",
        "https://exa mple.com",
        '[""]',
    ],
)
def test_an_invalid_origin_is_refused_everywhere(
    read: Read, production: dict[str, str], environment: str, origins: str
) -> None:
    loaded = read(production, ENVIRONMENT=environment, APP_CORS_ORIGINS=origins)
    assert faulty(loaded) == ["APP_CORS_ORIGINS"]


def test_origins_are_taken_without_a_trailing_slash(read: Read) -> None:
    settings = read(APP_CORS_ORIGINS="https://a.example.com/, http://[::1]:3000").settings
    assert settings is not None
    assert settings.app.cors_origins == ("https://a.example.com", "http://[::1]:3000")


def test_local_pages_may_call_in_local_only(read: Read, production: dict[str, str]) -> None:
    local, other = read().settings, read(production).settings
    assert local is not None
    assert other is not None
    assert local.app.cors_origins == ("http://localhost:3000", "http://localhost:5173")
    assert other.app.cors_origins == ()


@pytest.mark.parametrize("host", ["https://a.example.com", "a/b", "a:80", "a b", "*.*", "a.*"])
def test_an_invalid_host_is_refused(read: Read, host: str) -> None:
    loaded = read(SERVER_TRUSTED_HOSTS=host)
    assert faulty(loaded) == ["SERVER_TRUSTED_HOSTS"]


def test_hosts_are_names_or_everything_below_a_name(read: Read) -> None:
    settings = read(SERVER_TRUSTED_HOSTS="api.example.com,*.example.org,127.0.0.1").settings
    assert settings is not None
    assert settings.server.trusted_hosts == ("api.example.com", "*.example.org", "127.0.0.1")


@pytest.mark.parametrize("path", ["api", "/", "/api/", "//api", "/a b", "/api?x", "/{x}"])
def test_an_invalid_path_prefix_is_refused(read: Read, path: str) -> None:
    loaded = read(APP_ROOT_PATH=path)
    assert faulty(loaded) == ["APP_ROOT_PATH"]


@pytest.mark.parametrize("path", ["", "/api", "/a/b-c"])
def test_a_path_prefix_may_be_empty(read: Read, path: str) -> None:
    settings = read(APP_ROOT_PATH=path).settings
    assert settings is not None
    assert settings.app.root_path == path


@pytest.mark.parametrize(
    "url",
    [
        "example.com",
        "ftp://example.com",
        "https://",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://u:p@example.com",
        "https://example.com:port",
        "https://exa\nmple.com",
        "https://[::1",
    ],
)
def test_an_invalid_web_address_is_refused(read: Read, url: str) -> None:
    loaded = read(APP_PUBLIC_URL=url)
    assert faulty(loaded) == ["APP_PUBLIC_URL"]


def test_the_public_address_is_taken_without_a_trailing_slash(read: Read) -> None:
    settings = read(APP_PUBLIC_URL="https://shop.example.com/app/").settings
    assert settings is not None
    assert settings.app.public_url == "https://shop.example.com/app"


def test_the_title_is_the_name_unless_given(read: Read) -> None:
    assert read(APP_NAME="Shop").shown["APP_TITLE"] == "Shop"
    assert read(APP_NAME="Shop", APP_TITLE="Shop API").shown["APP_TITLE"] == "Shop API"


def test_workers_are_a_number_or_one_per_processor(read: Read) -> None:
    many, auto = read(SERVER_WORKERS="3").settings, read(SERVER_WORKERS="auto").settings
    assert many is not None
    assert auto is not None
    assert many.server.worker_count == 3
    assert auto.server.workers == "auto"
    assert auto.server.worker_count == os.cpu_count()


def test_logs_are_for_people_in_local_and_for_machines_elsewhere(
    read: Read, production: dict[str, str]
) -> None:
    assert read().shown["LOG_FORMAT"] == "console"
    assert read(production).shown["LOG_FORMAT"] == "json"
    assert read(LOG_FORMAT="json", LOG_LEVEL="debug").shown["LOG_LEVEL"] == "DEBUG"


def test_the_administrators_user_name_is_lower_cased(read: Read) -> None:
    assert read(ADMIN_USERNAME="Root.1").shown["ADMIN_USERNAME"] == "root.1"


@pytest.mark.parametrize("password", ["tiny!", "x" * 129])
def test_the_administrators_password_is_judged_by_length_and_not_repeated(
    read: Read, password: str
) -> None:
    loaded = read(ADMIN_PASSWORD=password)
    assert faulty(loaded) == ["ADMIN_PASSWORD"]
    assert password not in str(loaded.errors)


def test_a_refusal_in_code_does_not_repeat_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        AppSettings(public_url="nonsense-value")
    assert "nonsense-value" not in str(caught.value)


@pytest.mark.parametrize("name", ["ADMIN_EMAIL", "APP_CONTACT_EMAIL"])
def test_an_address_is_normalised_and_has_no_name_in_front(read: Read, name: str) -> None:
    loaded = read({name: "A@XN--MNCHEN-3YA.de"})
    assert loaded.shown[name] == "a@münchen.de"
    loaded = read({name: "Bob <bob@example.org>"})
    assert faulty(loaded) == [name]
    assert "e-mail address" in loaded.errors[0].hint
