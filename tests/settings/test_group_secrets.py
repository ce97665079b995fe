"""Shows that what a project's groups keep secret is not shown, in values and in errors."""

from pathlib import Path

import pytest
from pydantic import PostgresDsn, SecretStr, field_validator, model_validator

from backstay.settings import SettingError, SettingsGroup, read_settings
from tests.settings.reading import faulty


def test_a_missing_setting_does_not_show_secrets_beside_it(tmp_path: Path) -> None:
    class Keys(SettingsGroup):
        env_prefix = "KEYS_"

        first: SecretStr
        second: SecretStr

    loaded = read_settings({"KEYS_FIRST": "s3cr3t"}, tmp_path, [Keys])
    assert faulty(loaded) == ["KEYS_SECOND"]
    assert loaded.shown["KEYS_FIRST"] == "********"


@pytest.mark.parametrize("error", [ValueError, SettingError])
def test_errors_do_not_repeat_secrets(tmp_path: Path, error: type[Exception]) -> None:
    hint = ("Give another one.",) if error is SettingError else ()

    class Leaky(SettingsGroup):
        env_prefix = "LEAKY_"

        key: SecretStr = SecretStr("")
        keys: tuple[SecretStr, ...] = ()
        other: str = ""

        @field_validator("key", mode="before")
        @classmethod
        def _repeat(cls, value: object) -> object:
            raise error(f"{value} is no key", *hint)

        @field_validator("keys")
        @classmethod
        def _repeat_one(cls, keys: tuple[SecretStr, ...]) -> object:
            for key in keys:
                raise error(f"{key.get_secret_value()} is no key", *hint)
            return keys

    loaded = read_settings(
        {"LEAKY_KEY": "s3cr3t", "LEAKY_KEYS": "s4cr4t, s5cr5t"}, tmp_path, [Leaky]
    )
    assert [each.wrong for each in loaded.errors] == ["******** is no key"] * 2


def test_a_rule_between_settings_does_not_repeat_secrets(tmp_path: Path) -> None:
    class Leaky(SettingsGroup):
        env_prefix = "LEAKY_"

        key: SecretStr

        @model_validator(mode="after")
        def _repeat(self) -> "Leaky":
            raise ValueError(f"{self.key.get_secret_value()} is no key")

    (error,) = read_settings({"LEAKY_KEY": "s3cr3t"}, tmp_path, [Leaky]).errors
    assert error.wrong == "******** is no key"


def test_passwords_in_urls_are_masked(tmp_path: Path) -> None:
    class Links(SettingsGroup):
        env_prefix = "LINKS_"

        broker: str = ""
        data: PostgresDsn | None = None
        page: str = "http://host:80/@me"

    loaded = read_settings(
        {"LINKS_BROKER": "amqp://me:s3cr3t@host/", "LINKS_DATA": "postgresql://me:s3cr3t@host/x"},
        tmp_path,
        [Links],
    )
    assert loaded.errors == ()
    assert loaded.shown["LINKS_BROKER"] == "amqp://me:***@host/"
    assert loaded.shown["LINKS_DATA"] == "postgresql://me:***@host/x"
    assert loaded.shown["LINKS_PAGE"] == "http://host:80/@me"
