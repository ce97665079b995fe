"""Tests how a feature finds the modules and route tables of its package."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from backstay.core.feature import Feature

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
