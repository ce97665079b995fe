"""Shows that the settings reference is complete and generated, and that the example works."""

from pathlib import Path

import pytest

from backstay.settings import SettingsGroup, example_env, reference_markdown
from backstay.settings.schema import PACKAGED
from tests.settings.reading import Read
from tests.settings.shop import ShopSettings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == reference_markdown(), (
        "write it anew with: backstay config --reference > docs/settings.md"
    )


@pytest.mark.parametrize("variable", PACKAGED.variables, ids=lambda variable: variable.name)
def test_every_setting_is_described_with_all_its_names(variable: object) -> None:
    (described,) = (each for each in PACKAGED.variables if each is variable)
    rows = [line for line in reference_markdown().splitlines() if line.startswith("| `")]
    (row,) = (row for row in rows if row.startswith(f"| `{described.name}` |"))
    assert described.info.description
    assert str(described.info.description) in row
    assert all(f"`{name}`" in row for name in described.names)


def test_the_example_says_every_default_of_local(read: Read, tmp_path: Path) -> None:
    lines = example_env().splitlines()
    settings = [line[1:] for line in lines if line.startswith("#") and line[1] != " "]
    assert [line.split("=")[0] for line in settings] == [each.name for each in PACKAGED.variables]
    untouched = read()
    (tmp_path / ".env").write_text("\n".join(settings))
    loaded = read()
    assert loaded.errors == ()
    parts = {"DB_DRIVER", "DB_HOST", "DB_PORT", "REDIS_HOST", "REDIS_PORT", "REDIS_DB"}
    for name, value in untouched.shown.items():
        assert name in parts or loaded.shown[name] == value


def test_the_example_as_it_is_changes_nothing(read: Read, tmp_path: Path) -> None:
    untouched = read()
    (tmp_path / ".env").write_text(example_env())
    assert read() == untouched


def test_the_reference_describes_a_group_after_the_packages() -> None:
    page = reference_markdown([ShopSettings])
    assert page.startswith(reference_markdown())
    _, section = page.split("## Shop (`SHOP_`)\n\nWhat the shop sells, and to whom.\n")
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(ShopSettings.model_fields)
    for row in (
        "| `SHOP_CURRENCY` | EUR or USD | `EUR` |  | Currency of every price. |",
        "| `SHOP_API_KEY` | text, secret | required | `SHOP_API_KEY_FILE` "
        "| Key of the payment provider. |",
        "| `SHOP_FLOORS` | list (JSON or commas) |  |  | Floors of the warehouse. |",
        "| `SHOP_SIZE` | s or l | `l` |  | Size of a parcel \\| box. |",
        "| `SHOP_HOLD` | duration, such as PT30M | `0:30:00` |  |  |",
        "| `SHOP_DEAREST` | whole number, at most 1000 | `900`; in `local` `50` | `TOP_PRICE` "
        "| Highest price in cents. |",
    ):
        assert row in rows


def test_the_example_of_a_group_says_every_default(read_shop: Read, tmp_path: Path) -> None:
    lines = example_env([ShopSettings]).splitlines()
    assert "# --- Shop ---" in lines
    assert "# Key of the payment provider." in lines
    untouched = read_shop().shown
    settings = [each[1:] for each in lines if each.startswith("#SHOP_")]
    (tmp_path / ".env").write_text("\n".join(settings))
    assert len(settings) == len(ShopSettings.model_fields)
    assert read_shop().shown == untouched


def test_a_group_needs_no_docstring_and_no_descriptions() -> None:
    class Bare(SettingsGroup):
        env_prefix = "BARE_"

        one: int

    assert "## Bare (`BARE_`)\n\n| Variable |" in reference_markdown([Bare])
    assert example_env([Bare]).endswith("# --- Bare ---\n# Required.\n#BARE_ONE=\n")
