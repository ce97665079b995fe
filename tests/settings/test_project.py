"""Shows which folder is the project's root, and what is said of a file that cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from backstay.settings import ConfigurationError
from backstay.settings.project import find_project, project_root

TABLE = '[tool.backstay]\napp = "shop:application"\n'


@pytest.fixture
def below(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "shop"
    folder.mkdir(parents=True)
    return folder


def project(folder: Path, text: str = TABLE) -> None:
    (folder / "pyproject.toml").write_text(text)


def fault_of(start: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        find_project(start)
    return str(caught.value)


def test_the_project_is_found_from_any_folder_below(tmp_path: Path, below: Path) -> None:
    project(tmp_path)
    found = find_project(below)
    assert found is not None
    assert (found.root, found.app) == (tmp_path, "shop:application")


def test_the_nearest_project_counts(tmp_path: Path, below: Path) -> None:
    project(tmp_path)
    project(below.parent, "[tool.backstay]\n")
    found = find_project(below)
    assert found is not None
    assert found.root == below.parent


def test_unknown_keys_are_told_with_what_is_meant(tmp_path: Path) -> None:
    project(tmp_path, '[tool.backstay]\nap = "shop:application"\ncolour = 1\n')
    found = find_project(tmp_path)
    assert found is not None
    with pytest.raises(ConfigurationError) as caught:
        _ = found.app
    told = str(caught.value)
    assert "has the unknown key ap.\n    Write app." in told
    assert "has the unknown key colour.\n    Remove it" in told
    assert "names no application" in told


def test_a_process_reads_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = find_project(tmp_path)
    project(tmp_path, "[tool.backstay")
    assert project_root() == tmp_path
    assert find_project(tmp_path) is found


def test_a_file_without_the_table_is_passed_over(tmp_path: Path, below: Path) -> None:
    project(tmp_path)
    project(below.parent, '[project]\ndependencies = ["backstay"]\n')
    project(below, "[tool.ruff]\n")
    found = find_project(below)
    assert found is not None
    assert found.root == tmp_path


def test_a_file_that_says_nothing_of_backstay_may_be_broken(tmp_path: Path, below: Path) -> None:
    project(tmp_path)
    project(below, "[tool.ruff\n")
    found = find_project(below)
    assert found is not None
    assert found.root == tmp_path


def test_a_folder_called_like_the_file_is_passed_over(tmp_path: Path, below: Path) -> None:
    project(tmp_path)
    (below / "pyproject.toml").mkdir()
    assert find_project(below) == find_project(tmp_path)


def test_without_a_project_the_working_directory_is_the_root(
    below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(below)
    assert find_project(below) is None
    assert project_root() == below


def test_the_root_is_that_of_the_working_directory(
    tmp_path: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path)
    monkeypatch.chdir(below)
    assert project_root() == tmp_path


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"[tool.backstay\n", "cannot be read: "),
        (b'[tool.backstay]\napp = "\xff"\n', "cannot be read: "),
        (b'[tool]\nbackstay = "shop"\n', "is not a table"),
        (b"[[tool.backstay]]\n", "is not a table"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, content: bytes, wrong: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    assert f"[tool.backstay] of {tmp_path}/pyproject.toml: {wrong}" in fault_of(tmp_path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").symlink_to("pyproject.toml")  # nobody can open it, root neither
    assert f"of {tmp_path}/pyproject.toml: cannot be read: " in fault_of(tmp_path)


@pytest.mark.parametrize("text", ["[tool.backstay]\n", "[tool.backstay]\napp = 1\n"])
def test_a_project_that_names_no_application_says_so(tmp_path: Path, text: str) -> None:
    project(tmp_path, text)
    found = find_project(tmp_path)
    assert found is not None
    with pytest.raises(ConfigurationError, match=r'names no application.*\n.*app = "module:name"'):
        _ = found.app


def test_no_parser_is_imported_without_a_project(tmp_path: Path) -> None:
    project(tmp_path, "[tool.ruff]\n")
    code = """
import sys
from backstay.settings.project import project_root
project_root()
assert "tomllib" not in sys.modules
"""
    environ = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, check=True)
