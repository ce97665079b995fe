"""The shop in `examples/` is a project as a user has one: typed, tested, on the public names."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.guides import page, run, write

SHOP = ROOT / "examples" / "shop"
MODULES = sorted((SHOP / "src").rglob("*.py"))
MOST_LINES = 650
"""The most lines of the shop that are not blank, without migrations and tests."""
MOST_STATEMENTS = 12
"""The most statements of a handler."""


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for name in ("src", "tests", "pyproject.toml")
        for path in (folder / name, *(folder / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


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


def test_the_shop_with_another_resource_is_green_everywhere(tmp_path: Path) -> None:
    before = contents(SHOP)
    for path, content in before.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    write(tmp_path, page("add-a-resource"))
    run(tmp_path, "backstay", "db", "revision", "reviews", SHOP_WEBHOOK_SECRET="x" * 32)
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    added = sorted(path.parent.name for path in after.keys() - before)
    assert added == ["migrations", *["reviews"] * 6, "tests"]

    kit = ("pytest", "-q", "-n", "0", "-p", "no:cacheprovider")
    passed = run(tmp_path, *kit, CI=os.environ.get("CI", ""))
    assert "skipped" not in passed
    tests = sum(content.count(b"async def test_") for content in after.values())
    assert int(passed.split(" passed")[0].split()[-1]) >= 2 * tests


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
