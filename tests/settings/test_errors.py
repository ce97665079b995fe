"""Shows that all faults are reported at once, with hints, none invented and none hidden."""

from pathlib import Path

import pytest

from backstay.settings import ConfigurationError, SettingError, load_settings
from tests.settings.reading import Read, faulty


@pytest.mark.parametrize("name", ["prod", "Production", "dev", "testing", "local production"])
def test_an_unknown_environment_is_a_fault_and_creates_no_secret(
    read: Read, tmp_path: Path, name: str
) -> None:
    loaded = read(ENVIRONMENT=name, APP_DEBUG="true")
    assert faulty(loaded) == ["ENVIRONMENT"]
    assert loaded.settings is None
    assert not (tmp_path / ".backstay").exists()


def test_every_fault_of_every_group_is_reported_at_once(tmp_path: Path) -> None:
    environ = {
        "ENVIRONMENT": "production",
        "APP_DEBUG": "true",
        "APP_CORS_ORIGINS": "*",
        "SERVER_PORT": "eighty",
        "SERVER_TRUSTED_PROXIES": "*",
        "DB_URL": "mysql://host/name",
        "DB_FALLBACK_TO_SQLITE": "true",
        "RATE_LIMIT_DEFAULT": "0",
        "SECURITY_LOGIN_RATE_LIMIT": "often",
        "SECURITY_SECRET_KEY": "changethis",
        "LOG_LEVEL": "loud",
    }
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ, tmp_path)
    expected = environ.keys() - {"ENVIRONMENT"} | {"SECURITY_REFRESH_TOKEN_SECRET"}
    assert {fault.variable for fault in caught.value.errors} == expected
    assert len(caught.value.errors) == len(expected)
    text = str(caught.value)
    for fault in caught.value.errors:
        assert f"{fault.variable}: {fault.wrong}" in text
        assert fault.hint in text


def test_one_fault_neither_hides_nor_invents_others(read: Read, production: dict[str, str]) -> None:
    loaded = read(production, DB_PORT="x", DB_NAME="shop", SERVER_WORKERS="4", APP_DEBUG="1")
    assert faulty(loaded) == ["DB_PORT", "APP_DEBUG", "REDIS_URL"]


def test_a_faulty_address_does_not_count_as_sqlite(read: Read, production: dict[str, str]) -> None:
    loaded = read(production, DB_PORT="x", SERVER_WORKERS="4", REDIS_URL="redis://host")
    assert faulty(loaded) == ["DB_PORT"]


def test_an_unreadable_value_is_not_also_called_missing(read: Read) -> None:
    assert faulty(read(DB_HOST="host", DB_NAME="\udcff")) == ["DB_NAME"]


def test_the_error_counts_its_faults() -> None:
    one = SettingError("is on", "Set it to false.", "APP_DEBUG")
    assert str(ConfigurationError([one])) == (
        "The configuration has 1 fault.\n  APP_DEBUG: is on.\n    Set it to false."
    )
    assert str(ConfigurationError([one, one])).startswith("The configuration has 2 faults.")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVER_PORT", "0"),
        ("SERVER_PORT", "65536"),
        ("SERVER_PORT", "8000.5"),
        ("SERVER_WORKERS", "0"),
        ("SERVER_WORKERS", "many"),
        ("SERVER_TIMEOUT", "0"),
        ("SERVER_GRACEFUL_TIMEOUT", "-1"),
        ("SERVER_MAX_BODY_BYTES", "0"),
        ("APP_DEBUG", "perhaps"),
        ("APP_CONTACT_EMAIL", "nobody"),
        ("RATE_LIMIT_PERIOD", "0"),
        ("SECURITY_ALGORITHM", "none"),
        ("SECURITY_REGISTRATION", "maybe"),
        ("SECURITY_ACCESS_TOKEN_EXPIRE_SECONDS", "0"),
        ("SECURITY_CLOCK_SKEW_SECONDS", "-1"),
        ("ADMIN_EMAIL", "admin"),
        ("ADMIN_USERNAME", "a"),
        ("ADMIN_USERNAME", "has space"),
        ("LOG_LEVEL", "TRACE"),
        ("LOG_FORMAT", "xml"),
        ("DB_STATEMENT_TIMEOUT", "-1"),
        ("DB_STATEMENT_TIMEOUT", "nan"),
        ("DB_READ_TIMEOUT", "0"),
        ("DB_READ_TIMEOUT", "301"),
        ("DB_MAX_READS_PER_USER", "0"),
        ("DB_POOL_TIMEOUT", "0"),
        ("DB_MAX_CONNECTIONS", "0"),
    ],
)
def test_a_value_of_wrong_type_is_one_fault_with_hint(
    read: Read, variable: str, value: str
) -> None:
    loaded = read({variable: value})
    assert faulty(loaded) == [variable]
    assert loaded.errors[0].wrong
    assert loaded.errors[0].hint
    assert variable not in loaded.shown


def test_a_word_instead_of_a_number_gets_an_example(read: Read) -> None:
    fault = read(SERVER_PORT="eighty").errors[0]
    assert fault.wrong.startswith("should be a valid integer")
    assert fault.hint == "Set it to: port (1 to 65535), such as 8000."
