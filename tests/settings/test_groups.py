"""Shows what a project's own groups get: the reader, the errors and the pages of the package's."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from backstay.settings import (
    AppSettings,
    ConfigurationError,
    Loaded,
    SettingError,
    SettingsGroup,
    load_settings,
    read_settings,
)
from tests.settings.reading import Read, faulty
from tests.settings.shop import ShopSettings, Size


def shop(loaded: Loaded) -> ShopSettings:
    assert loaded.errors == ()
    assert loaded.settings is not None
    return loaded.settings.of(ShopSettings)


def test_a_group_is_read_like_the_packages_own(read_shop: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SHOP_CURRENCY=EUR\nSHOP_NOTE=hello\n")
    (tmp_path / "key").write_text("from a file\n")
    loaded = read_shop(
        SHOP_CURRENCY="USD", SHOP_API_KEY="", SHOP_API_KEY_FILE="key", TOP_PRICE="800"
    )
    settings = shop(loaded)
    assert (settings.currency, settings.note, settings.dearest) == ("USD", "hello", 800)
    assert settings.api_key.get_secret_value() == "from a file"
    assert loaded.origins["SHOP_CURRENCY"] == "environment"
    assert loaded.origins["SHOP_NOTE"] == ".env"
    assert loaded.origins["SHOP_API_KEY"] == f"file {tmp_path}/key"
    assert loaded.origins["SHOP_DEAREST"] == "environment (TOP_PRICE)"
    assert loaded.origins["SHOP_SIZE"] == "default"
    assert loaded.warnings == ()


@pytest.mark.parametrize("form", ["DE, AT", '["DE", "AT"]'])
def test_lists_are_read_with_commas_or_as_json(read_shop: Read, form: str) -> None:
    assert shop(read_shop(SHOP_COUNTRIES=form)).countries == ("DE", "AT")


def test_lists_and_objects_hold_whatever_their_type_says(read_shop: Read) -> None:
    settings = shop(
        read_shop(
            SHOP_FLOORS="[1, 2]",
            SHOP_SIZES="s,l",
            SHOP_FEES='{"AT": "7.50"}',
            SHOP_SENDER='{"name": "me", "password": "s3cr3t"}',
        )
    )
    assert settings.floors == [1, 2]
    assert settings.sizes == {Size.SMALL, Size.LARGE}
    assert settings.fees == {"AT": Decimal("7.50")}
    assert settings.sender is not None
    assert settings.sender.password.get_secret_value() == "s3cr3t"


def test_values_are_shown_as_they_are_written_and_secrets_masked(read_shop: Read) -> None:
    loaded = read_shop(SHOP_SENDER='{"name": "me", "password": "s3cr3t"}', SHOP_SIZES="s,l")
    assert "s3cr3t" not in str(loaded.shown)
    assert loaded.shown["SHOP_API_KEY"] == "********"
    assert loaded.shown["SHOP_SENDER"] == '{"name": "me", "password": "********"}'
    assert loaded.shown["SHOP_SIZES"] == "l, s"
    assert loaded.shown["SHOP_SIZE"] == "l"
    assert loaded.shown["SHOP_FEES"] == '{"DE": "4.90"}'
    assert loaded.shown["SHOP_DEAREST"] == "50"


@pytest.mark.parametrize(
    ("variable", "value", "wrong", "hint"),
    [
        ("SHOP_CURRENCY", "GBP", "should be 'EUR' or 'USD'", "Set it to: EUR or USD, such as EUR."),
        ("SHOP_DEAREST", "2000", "is above 1000", "Set it to 1000 at most."),
        ("SHOP_NOTE", "rude", "is not polite", "Set it to another text."),
        ("SHOP_NOTE", "shouted", "is too loud", "Write it in lower case."),
        ("SHOP_FLOORS", "[1", "begins like a JSON list but is not one", "Write ["),
        ("SHOP_FLOORS", "one", "should be a valid integer", "Set it to: list (JSON or commas)."),
        ("SHOP_FEES", "DE", "is not a JSON object", "Write one, such as"),
        ("SHOP_HOLD", "long", "should be a valid timedelta", "Set it to: duration"),
    ],
)
def test_each_wrong_value_is_one_error_with_a_hint(
    read_shop: Read, variable: str, value: str, wrong: str, hint: str
) -> None:
    loaded = read_shop({variable: value})
    assert faulty(loaded) == [variable]
    assert loaded.errors[0].wrong.startswith(wrong)
    assert loaded.errors[0].hint.startswith(hint)
    assert variable not in loaded.shown


def test_every_error_of_all_groups_is_reported_at_once(read_shop: Read) -> None:
    loaded = read_shop(SERVER_PORT="x", SHOP_API_KEY="", SHOP_CHEAPEST="x", SHOP_NOTE="rude")
    assert faulty(loaded) == ["SERVER_PORT", "SHOP_API_KEY", "SHOP_CHEAPEST", "SHOP_NOTE"]
    assert loaded.settings is None


def test_a_missing_setting_is_one_error_with_its_meaning(read_shop: Read, tmp_path: Path) -> None:
    loaded = read_shop(SHOP_API_KEY="", SHOP_CURRENCY="USD")
    assert [str(error) for error in loaded.errors] == [
        "SHOP_API_KEY: is missing, and has no default.\n"
        "    Set it to a text. Key of the payment provider."
    ]
    assert loaded.origins["SHOP_API_KEY"] == "not set"
    assert "SHOP_API_KEY" not in loaded.shown
    assert loaded.shown["SHOP_CURRENCY"] == "USD"
    assert loaded.shown["SHOP_CHEAPEST"] == "1"
    with pytest.raises(ConfigurationError, match="SHOP_API_KEY: is missing"):
        load_settings({}, tmp_path, [ShopSettings])


def test_a_rule_between_settings_names_those_that_were_given(read_shop: Read) -> None:
    loaded = read_shop(SHOP_CHEAPEST="60", SHOP_CURRENCY="USD")
    (error,) = loaded.errors
    assert str(error) == (
        "SHOP_*: the cheapest is above the dearest.\n"
        "    Correct one of SHOP_CURRENCY, SHOP_API_KEY, SHOP_CHEAPEST."
    )
    assert loaded.shown["SHOP_CHEAPEST"] == "60"
    assert "SHOP_*" not in loaded.faulty


def test_a_rule_that_fails_before_the_fields_shows_no_value(tmp_path: Path) -> None:
    class Odd(SettingsGroup):
        env_prefix = "ODD_"

        number: int = 1

        @model_validator(mode="before")
        @classmethod
        def _refuse(cls, values: object) -> object:
            raise SettingError("is odd", "Make it even.", "ODD_NUMBER")

    loaded = read_settings({"ODD_NUMBER": "3"}, tmp_path, [Odd])
    assert faulty(loaded) == ["ODD_NUMBER"]
    assert "ODD_NUMBER" not in loaded.shown


def test_a_default_that_is_refused_is_an_error_too(tmp_path: Path) -> None:
    class Wrong(SettingsGroup):
        env_prefix = "WRONG_"

        number: int = Field(0, ge=1)

    loaded = read_settings({}, tmp_path, [Wrong])
    assert faulty(loaded) == ["WRONG_NUMBER"]


def test_a_validator_without_its_other_field_hides_no_error(tmp_path: Path) -> None:
    class Sizes(SettingsGroup):
        env_prefix = "SIZES_"

        least: int = 1
        most: int = Field(2, le=9)

        @field_validator("most")
        @classmethod
        def _above(cls, most: int, info: ValidationInfo) -> int:
            if most < info.data["least"]:
                raise ValueError("is below SIZES_LEAST")
            return most

    assert faulty(read_settings({"SIZES_LEAST": "x"}, tmp_path, [Sizes])) == ["SIZES_LEAST"]
    both = {"SIZES_LEAST": "x", "SIZES_MOST": "10"}
    assert faulty(read_settings(both, tmp_path, [Sizes])) == ["SIZES_LEAST", "SIZES_MOST"]
    assert faulty(read_settings({"SIZES_LEAST": "3"}, tmp_path, [Sizes])) == ["SIZES_MOST"]


def test_an_error_in_a_validator_itself_is_raised(tmp_path: Path) -> None:
    class Broken(SettingsGroup):
        env_prefix = "BROKEN_"

        one: int = 1

        @field_validator("one")
        @classmethod
        def _fail(cls, one: int) -> int:
            raise KeyError(one)

    with pytest.raises(KeyError):
        read_settings({}, tmp_path, [Broken])


def test_a_validator_that_reads_texts_gets_the_text(tmp_path: Path) -> None:
    class Words(SettingsGroup):
        env_prefix = "WORDS_"

        all: tuple[str, ...] = ()

        @field_validator("all", mode="before")
        @classmethod
        def _split(cls, value: object) -> object:
            return tuple(value.split("/")) if isinstance(value, str) else value

    settings = load_settings({"WORDS_ALL": "a/b"}, tmp_path, [Words])
    assert settings.of(Words).all == ("a", "b")


def test_an_empty_list_is_empty_and_no_default(tmp_path: Path) -> None:
    class Words(SettingsGroup):
        env_prefix = "WORDS_"

        all: tuple[str, ...] = ("a",)
        one: str = "b"

    words = load_settings({"WORDS_ALL": "", "WORDS_ONE": ""}, tmp_path, [Words]).of(Words)
    assert (words.all, words.one) == ((), "b")


def test_a_misspelt_variable_is_warned_of(read_shop: Read) -> None:
    assert read_shop(SHOP_CURENCY="USD", SHOP_COLOUR="red").warnings == (
        "SHOP_COLOUR (environment) is not a setting",
        "SHOP_CURENCY (environment) is not a setting; did you mean SHOP_CURRENCY?",
    )


def test_without_the_group_its_variables_are_somebody_elses(tmp_path: Path) -> None:
    assert read_settings({"SHOP_COLOUR": "red"}, tmp_path).warnings == ()


def test_groups_are_reached_by_their_class(read_shop: Read, tmp_path: Path) -> None:
    settings = read_shop().settings
    assert settings is not None
    assert settings.of(ShopSettings).currency == "EUR"
    assert settings.of(AppSettings) is settings.app
    with pytest.raises(LookupError, match="ShopSettings is not among the groups"):
        load_settings({}, tmp_path).of(ShopSettings)
