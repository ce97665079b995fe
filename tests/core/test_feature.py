"""Tests how a feature finds the modules and route tables of its package."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from backstay.core.feature import Feature, features_of
from backstay.core.wiring import BootError, Code

ROUTES = """
from backstay import Routes

first = Routes("/a", tag="a")
second = Routes("/b", tag="b")
"""
FILES = {
    "__init__.py": "from backstay import Feature\nfeature = Feature('granary', __name__)\n",
    "commands/__init__.py": "",
    "commands/sowing.py": "",
    "commands/reaping.py": "",
    "queries.py": "",
    "schemas.py": "",
    "routes.py": ROUTES,
}
SINGLE = ROUTES + "\nfrom backstay import Feature\nfeature = Feature('granary', __name__)\n"


MADE = (
    "from backstay import Feature\nfeature = Feature({name!r}, __name__, requires={requires!r})\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [each for each in sys.modules if each.partition(".")[0] == "granary"]:
        del sys.modules[name]


def test_a_feature_finds_its_modules_and_routes_by_name(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / "granary" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "granary" / name).write_text(content)
    feature: Feature = import_module("granary").feature
    assert [module.__name__ for module in feature.modules] == [
        "granary.commands",
        "granary.commands.reaping",
        "granary.commands.sowing",
        "granary.queries",
    ]
    assert [table.tag for table in feature.routes] == ["a", "b"]


def test_a_feature_may_be_one_module(folder: Path) -> None:
    (folder / "granary.py").write_text(SINGLE)
    feature: Feature = import_module("granary").feature
    assert [module.__name__ for module in feature.modules] == ["granary"]
    assert [table.tag for table in feature.routes] == ["a", "b"]


def _grow(folder: Path, **features: tuple[str, ...]) -> Path:
    """A package `granary`, with a feature for each name and what that requires."""
    package = folder / "granary"
    for name, requires in features.items():
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text(MADE.format(name=name, requires=requires))
    (package / "__init__.py").touch()
    return package


def test_the_features_of_a_package_follow_those_that_they_require(folder: Path) -> None:
    package = _grow(folder, barley=("wheat", "users"), oats=(), rye=("barley",), wheat=("oats",))
    (package / "_weights.py").touch()
    (package / "__pycache__").mkdir(exist_ok=True)
    names = [each.name for each in features_of("granary")]
    assert names == ["oats", "wheat", "barley", "rye"]


def test_features_that_require_one_another_are_left_to_the_boot(folder: Path) -> None:
    _grow(folder, barley=("wheat",), wheat=("barley",))
    assert {each.name for each in features_of("granary")} == {"barley", "wheat"}


def test_a_folder_without_a_feature_is_told_with_its_mend(folder: Path) -> None:
    package = _grow(folder, barley=())
    (package / "weights.py").touch()
    (package / "wheat").mkdir()
    (package / "wheat" / "messages.py").touch()
    with pytest.raises(BootError) as refused:
        features_of("granary")
    assert [fault.code for fault in refused.value.faults] == [Code.FEATURE_NOT_FOUND] * 2
    weights, wheat = refused.value.faults
    assert weights.problem.startswith("granary.weights has no `feature`")
    assert "or call it _weights" in weights.hint
    assert wheat.problem.startswith("granary.wheat has no `__init__.py`")
    assert "test_feature.py" in wheat.where


@pytest.mark.parametrize("package", ["granary.wheat", "granry", "granary.barley.nothing"])
def test_a_package_of_features_that_is_not_there_is_told(folder: Path, package: str) -> None:
    _grow(folder, barley=())
    with pytest.raises(BootError, match=f"There is no package {package}"):
        features_of(package)
