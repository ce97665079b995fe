"""Shows that the settings reference is complete and generated, and that the example works."""

from pathlib import Path

import pytest

from backstay.settings import example_env, reference_markdown
from backstay.settings.variables import VARIABLES
from tests.settings.reading import Read

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == reference_markdown(), (
        "write it anew with: backstay config --reference > docs/settings.md"
    )


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_setting_is_described_with_all_its_names(variable: object) -> None:
    (described,) = (each for each in VARIABLES if each is variable)
    rows = [line for line in reference_markdown().splitlines() if line.startswith("| `")]
    (row,) = (row for row in rows if row.startswith(f"| `{described.name}` |"))
    assert described.info.description
    assert str(described.info.description) in row
    assert all(f"`{name}`" in row for name in described.names)


def test_the_example_says_every_default_of_local(read: Read, tmp_path: Path) -> None:
    lines = example_env().splitlines()
    settings = [line[1:] for line in lines if line.startswith("#") and line[1] != " "]
    assert [line.split("=")[0] for line in settings] == [each.name for each in VARIABLES]
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
