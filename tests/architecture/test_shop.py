"""The shop in `examples/` is a project as a user has one: typed, tested, on the public names."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT

SHOP = ROOT / "examples" / "shop"
MODULES = sorted((SHOP / "src").rglob("*.py"))
MOST_LINES = 650
"""The most lines of the shop that are not blank, without migrations and tests."""
MOST_STATEMENTS = 12
"""The most statements of a handler."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the shop's folder."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT / "src"),
        "CI": os.environ.get("CI", ""),
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=SHOP,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


def own_modules() -> list[Path]:
    return [path for path in MODULES if "migrations" not in path.parts]


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def functions(tree: ast.Module) -> Iterator[ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef))


def statements(function: ast.AST) -> int:
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1


def test_the_shop_is_green_on_both_databases() -> None:
    done = run("pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--database=both")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_pyright_finds_nothing(tmp_path: Path) -> None:
    include = [relpath(SHOP / name, tmp_path) for name in ("src", "tests")]
    settings = {
        "include": [*include, "wrong.py"],
        "extraPaths": [relpath(path, tmp_path) for path in (SHOP / "src", ROOT / "src")],
        "typeCheckingMode": "strict",
    }
    (tmp_path / "wrong.py").write_text("from shop.features.orders.model import Nothing")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run("pyright", "--project", str(tmp_path), "--pythonpath", sys.executable)
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert errors, done.stdout
    assert all("wrong.py" in line for line in errors), done.stdout


def test_the_shop_imports_public_names_only() -> None:
    for path in MODULES:
        names = [name for name in imports(ast.parse(path.read_text())) if "backstay" in name]
        assert set(names) <= {"backstay"}, path


def test_the_shop_is_short() -> None:
    lines = [line for path in own_modules() for line in path.read_text().splitlines()]
    assert sum(bool(line.strip()) for line in lines) <= MOST_LINES
    for path in own_modules():
        for function in functions(ast.parse(path.read_text())):
            assert statements(function) <= MOST_STATEMENTS, f"{path}: {function.name}"
