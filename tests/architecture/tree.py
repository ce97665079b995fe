"""Parses the source tree for the guards, and copies it so that tests can add violations."""

import ast
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "backstay"


def sources(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every Python file below the folders, with its syntax tree."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, _parsed(path.read_text("utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    """The syntax tree of a file; copies of the package share those of what they left alone."""
    return ast.parse(text)


def copy_of_project(target: Path) -> Path:
    """A copy of the package and its configuration; the folder of the package in it."""
    shutil.copy(ROOT / "pyproject.toml", target)
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(PACKAGE, target / "src" / "backstay", ignore=ignored)


def plant(package: Path, module: str, code: str) -> None:
    """Append code to a module of a package, which is made if need be."""
    path = package / module
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{code}\n")
