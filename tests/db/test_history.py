"""Shows that the last revision is read from the file names, if they are numbered."""

from pathlib import Path

import pytest

from backstay.db.migrations.runner import PLATFORM, History, last_revisions, scripts


def test_our_history_ends_where_alembic_says() -> None:
    assert last_revisions((PLATFORM,)) == set(scripts((PLATFORM,)).get_heads())


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["0001_one.py", "0003_three.py"],
        ["0001_one.py", "0002_two.py", "0002_other.py"],
        ["0001_one.py", "merged.py"],
    ],
)
def test_unnumbered_migration_files_give_no_last_revision(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert not last_revisions((PLATFORM, History("shop", tmp_path)))


def test_several_histories_end_in_as_many_revisions(tmp_path: Path) -> None:
    (tmp_path / "0001_one.py").touch()
    (tmp_path / "0002_two.py").touch()
    histories = (PLATFORM, History("shop", tmp_path))
    assert last_revisions(histories) == last_revisions((PLATFORM,)) | {"shop_0002"}


def test_the_file_of_a_package_is_no_revision(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "0001_one.py").write_text("depends_on = ('platform_0001',)")
    assert last_revisions((History("shop", tmp_path),)) == {"shop_0001"}
    histories = (PLATFORM, History("shop", tmp_path))
    assert last_revisions(histories) == last_revisions((PLATFORM,)) | {"shop_0001"}


@pytest.mark.parametrize("text", ["depends_on = (", "depends_on = other()", "depends_on = 7"])
def test_an_unreadable_dependency_is_none(tmp_path: Path, text: str) -> None:
    """The migrations are then imported, which tells what is wrong with them."""
    (tmp_path / "0001_one.py").write_text(text)
    histories = (PLATFORM, History("shop", tmp_path))
    assert "shop_0001" in last_revisions(histories)
