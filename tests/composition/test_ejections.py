"""Copies that cannot stand in place of a packaged feature keep an application from starting."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from backstay.composition.ejections import ejection_faults
from backstay.features import users
from backstay.settings.ejected import ejected_folders


def project(folder: Path, name: str, feature: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy, in a loaded package of this name."""
    copy = folder / name / "ejected" / "backstay" / "features" / feature
    copy.mkdir(parents=True)
    (copy / "__init__.py").touch()
    module = ModuleType(name)
    module.__path__ = [str(folder / name)]
    monkeypatch.setitem(sys.modules, name, module)
    return copy


def test_two_projects_cannot_eject_one_feature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, "one_shop", "items", monkeypatch)
    project(tmp_path, "other_shop", "items", monkeypatch)
    (fault,) = ejection_faults()
    assert fault.problem.startswith("The feature items is ejected twice, also in ")
    assert "uninstall one" in fault.hint


def test_a_copy_found_after_the_packaged_feature_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project(tmp_path, "one_shop", "users", monkeypatch)
    (fault,) = ejection_faults()
    assert f"but {users.__file__} was loaded before" in fault.problem
    assert fault.where == f"{copy / '__init__.py'}:1"


def test_what_python_keeps_of_a_removed_copy_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = project(tmp_path, "one_shop", "users", monkeypatch)
    (copy / "__init__.py").rename(tmp_path / "kept")
    (copy / "__pycache__").mkdir()
    assert ejected_folders() == [str(copy.parent)]
    assert list(ejection_faults()) == []
