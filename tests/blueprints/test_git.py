"""Nothing is changed that git could not take back."""

import os
import subprocess
from pathlib import Path

import pytest

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.git import refuse_dirty, refuse_without_git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_repository_may_be_changed(repository: Path) -> None:
    refuse_dirty(repository)


def test_uncommitted_changes_are_named(repository: Path) -> None:
    for number in range(7):
        (repository / f"{number}.py").touch()
    with pytest.raises(BlueprintError, match=r"Not committed: 0\.py, .*4\.py, 2 more\. .*--force"):
        refuse_dirty(repository)


def test_changes_beside_the_project_do_not_matter(repository: Path) -> None:
    (repository / "shop").mkdir()
    (repository / "other.py").touch()
    refuse_dirty(repository / "shop")


def test_what_must_be_kept_may_not_be_ignored(repository: Path) -> None:
    (repository / ".git/info/exclude").write_text(".*\n")
    with pytest.raises(BlueprintError, match=r"git ignores \.blueprints"):
        refuse_dirty(repository)


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match=r"is in no git repository.*git init"):
        refuse_without_git(tmp_path)


def test_without_git_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BlueprintError, match="git is not installed"):
        refuse_without_git(tmp_path)


def test_a_hook_of_another_repository_does_not_mislead(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "a.py").touch()
    monkeypatch.setenv("GIT_DIR", os.devnull)
    with pytest.raises(BlueprintError, match=r"Not committed: a\.py"):
        refuse_dirty(repository)
