"""Shows which groups of settings keep an application from starting, and what is said of them."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr

from backstay.core.wiring import BootError, Place
from backstay.settings import (
    DbSettings,
    ServerSettings,
    Setting,
    SettingsGroup,
    example_env,
    read_settings,
    reference_markdown,
)


class Shop(SettingsGroup):
    env_prefix = "SHOP_"

    port: int = 1
    key: SecretStr = SecretStr("")


def faults(*groups: Any) -> list[tuple[str, str, str]]:
    """The code, place and problem of each fault."""
    with pytest.raises(BootError) as caught:
        read_settings({}, Path("/nowhere"), groups)
    assert all(each.hint for each in caught.value.faults)
    return [(each.code, each.where, each.problem) for each in caught.value.faults]


def at(group: type[SettingsGroup]) -> str:
    return str(Place.of(group))


@pytest.mark.parametrize("thing", ["SHOP_", SettingsGroup, Shop(), int, None])
def test_only_classes_derived_from_group_are_taken(thing: object) -> None:
    ((code, _, problem),) = faults(thing)
    assert code == "settings.group"
    assert problem.endswith("is listed as a group of settings and is none.")


@pytest.mark.parametrize("groups", [Shop, 5])
def test_groups_come_in_a_list(groups: Any) -> None:
    with pytest.raises(BootError, match="which is no list"):
        read_settings({}, Path("/nowhere"), groups)


def test_a_type_unknown_at_run_time_is_named() -> None:
    class Late(SettingsGroup):
        env_prefix = "LATE_"

        at: "Nowhere"  # type: ignore[name-defined] # noqa: F821

    ((code, where, problem),) = faults(Late)
    assert (code, where) == ("settings.group", at(Late))
    assert "Nowhere" in problem


def test_a_group_without_a_prefix_is_refused() -> None:
    class Bare(SettingsGroup):
        port: int = 1

    assert faults(Bare) == [("settings.prefix", at(Bare), "Bare has no prefix.")]


@pytest.mark.parametrize("prefix", ["SHOP", "shop_", "_SHOP_", "SHOP__", "_", "SHÖP_", "1SHOP_"])
def test_a_prefix_that_does_not_fit_is_refused(prefix: str) -> None:
    class Odd(SettingsGroup):
        env_prefix = prefix

    assert faults(Odd) == [("settings.prefix", at(Odd), f"Odd has the prefix {prefix!r}.")]


def test_a_prefix_with_a_type_would_be_a_setting() -> None:
    with pytest.warns(UserWarning, match="shadows an attribute"):

        class Typed(SettingsGroup):
            env_prefix: str = "SHOP_"  # type: ignore[misc]

    ((code, _, problem),) = faults(Typed)
    assert code == "settings.prefix"
    assert "declares env_prefix with a type" in problem


def test_two_groups_of_one_prefix_are_refused_with_both_places() -> None:
    class Market(SettingsGroup):
        env_prefix = "SHOP_"

    problem = f"Market has the prefix SHOP_ of Shop, at {at(Shop)}."
    assert faults(Shop, Market) == [("settings.prefix_twice", at(Market), problem)]


@pytest.mark.parametrize(
    "prefix", ["DB_", "DB_SHOP_", "RATE_LIMIT_", "BACKSTAY_", "BACKUP_", "OTEL_SHOP_", "SENTRY_"]
)
def test_the_prefixes_of_the_package_are_its_own(prefix: str) -> None:
    class Taken(SettingsGroup):
        env_prefix = prefix

    ((code, where, problem),) = faults(Taken)
    assert (code, where) == ("settings.prefix_twice", at(Taken))
    assert f"The prefix {prefix} of Taken belongs to the package" in problem
    if prefix.startswith("DB_"):
        assert problem.endswith(f"DbSettings, at {at(DbSettings)}.")


def test_a_group_that_is_listed_twice_is_refused() -> None:
    assert faults(Shop, Shop) == [("settings.prefix_twice", at(Shop), "Shop is listed twice.")]


def test_one_variable_sets_one_field_of_one_group() -> None:
    class Market(SettingsGroup):
        env_prefix = "SHOP_OF_"

        a: Annotated[int, Setting(also="PORT")] = 1
        b: Annotated[int, Setting(also="SHOP_PORT")] = 1
        c: int = 1
        C: int = 1
        d_: int = 1
        d: int = 1

    found = faults(Shop, Market)
    assert {code for code, _, _ in found} == {"settings.variable_twice"}
    assert {where for _, where, _ in found} == {at(Market)}
    assert [problem for _, _, problem in found] == [
        f"The variable {name} sets Market.{field} and also {other.__name__}.{its}, at {at(other)}."
        for name, field, other, its in (
            ("PORT", "a", ServerSettings, "port"),
            ("SHOP_PORT", "b", Shop, "port"),
            ("SHOP_OF_C", "C", Market, "c"),
            ("SHOP_OF_D", "d", Market, "d_"),
        )
    ]


def test_the_file_of_a_secret_is_a_variable_too() -> None:
    class Keys(SettingsGroup):
        env_prefix = "KEYS_"

        main: SecretStr = SecretStr("")
        main_file: str = ""

    ((code, _, problem),) = faults(Keys)
    assert code == "settings.variable_twice"
    assert "KEYS_MAIN_FILE" in problem


@pytest.mark.parametrize("name", ["alias", "validation_alias"])
def test_an_alias_is_refused_with_what_to_write_instead(name: str) -> None:
    class Aliased(SettingsGroup):
        env_prefix = "ALIASED_"

        key: str = Field("", **{name: "STRIPE_KEY"})  # type: ignore[call-overload]

    ((code, where, problem),) = faults(Aliased)
    assert (code, where) == ("settings.alias", at(Aliased))
    assert "The field key of Aliased" in problem


def test_every_fault_is_reported_at_once() -> None:
    class Bare(SettingsGroup): ...

    class Taken(SettingsGroup):
        env_prefix = "APP_"

    codes = [code for code, _, _ in faults("x", Bare, Shop, Taken, Shop)]
    assert codes == [
        "settings.group",
        "settings.prefix",
        "settings.prefix_twice",
        "settings.prefix_twice",
    ]


def test_the_pages_refuse_them_as_well() -> None:
    for page in (reference_markdown, example_env):
        with pytest.raises(BootError, match="listed twice"):
            page([Shop, Shop])


def test_one_prefix_may_begin_with_another(tmp_path: Path) -> None:
    class Stock(SettingsGroup):
        env_prefix = "SHOP_STOCK_"

        port: int = 2

    loaded = read_settings({"SHOP_STOCK_PROT": "1"}, tmp_path, [Shop, Stock])
    assert loaded.errors == ()
    assert loaded.warnings == (
        "SHOP_STOCK_PROT (environment) is not a setting; did you mean SHOP_STOCK_PORT?",
    )
