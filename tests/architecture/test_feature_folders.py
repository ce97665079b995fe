"""Shows that a feature folder holds only files with the agreed names."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from backstay import features
from tests.architecture.tree import PACKAGE, copy_of_project, plant

VOCABULARY = {
    *("__init__", "model", "schemas", "commands", "queries"),
    *("routes", "events", "admin", "settings"),
}
CATCH_ALLS = {"util", "utils", "helper", "helpers", "const", "constants", "common", "misc"}


def folder_faults(features: Path) -> Iterator[str]:
    """Every file and folder below ``features`` whose name is not agreed."""
    for path in sorted(features.rglob("*")):
        inside = path.relative_to(features)
        if "__pycache__" in inside.parts or inside == Path("__init__.py"):
            continue
        if path.is_file() and (path.suffix != ".py" or len(inside.parts) == 1):
            yield f"{inside}: a feature is a folder of Python modules"
        elif len(inside.parts) == 2 and path.stem not in VOCABULARY:
            yield f"{inside}: only {', '.join(sorted(VOCABULARY))}"
        if path.stem in CATCH_ALLS:
            yield f"{inside}: name it after what it holds"


def test_feature_folders_hold_only_the_vocabulary() -> None:
    assert list(folder_faults(PACKAGE / "features")) == []


@pytest.mark.parametrize(
    "module",
    [
        "items/helpers.py",
        "items/service.py",
        "items/utils/__init__.py",
        "auth/commands/common.py",
        "items/notes.txt",
        "stray.py",
        "common/__init__.py",
    ],
)
def test_anything_else_is_noticed(tmp_path: Path, module: str) -> None:
    features = copy_of_project(tmp_path) / "features"
    plant(features, module, "")
    assert list(folder_faults(features))


def test_a_module_may_grow_into_a_package_of_its_name(tmp_path: Path) -> None:
    features = copy_of_project(tmp_path) / "features"
    (features / "items" / "queries.py").unlink()
    plant(features, "items/queries/lists.py", "")
    assert list(folder_faults(features)) == []


def hidden_modules(package: str, loaded: Mapping[str, Any]) -> Iterator[str]:
    """Every module whose name in its package means something else."""
    for name, module in loaded.items():
        above, _, short = name.rpartition(".")
        if name.startswith(f"{package}.") and getattr(loaded[above], short) is not module:
            yield name


def test_no_package_attribute_hides_a_module() -> None:
    assert list(hidden_modules(features.__name__, sys.modules)) == []


def test_a_name_that_hides_a_module_is_noticed() -> None:
    shop, routes = SimpleNamespace(routes="a table"), ModuleType("routes")
    assert list(hidden_modules("shop", {"shop": shop, "shop.routes": routes})) == ["shop.routes"]
