"""Shows that files, functions, branches and names of tests stay short enough to be read."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, plant, sources

MAX_FILE = 300
MAX_FUNCTION = 40
MAX_WORDS = 10
"""In the name of a test, without the prefix `test`."""
RUFF = Path(sys.executable).parent / "ruff"


def size_faults(*folders: Path) -> Iterator[str]:
    """Every file and function that is too long; docstrings and blank lines are free."""
    for path, tree in sources(*folders):
        lines = path.read_text("utf-8").splitlines()
        if len(lines) > MAX_FILE:
            yield f"{path}: {len(lines)} lines, at most {MAX_FILE}"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = _length(node, lines)
                if length > MAX_FUNCTION:
                    yield f"{path}:{node.lineno}: {node.name} has {length}, at most {MAX_FUNCTION}"


def long_names(*folders: Path) -> Iterator[str]:
    """Every test whose name has too many words."""
    for path, tree in sources(*folders):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                prefix, *words = node.name.split("_")
                if prefix == "test" and len(words) > MAX_WORDS:
                    yield f"{path}:{node.lineno}: {node.name} has {len(words)} words"


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    code = [line.strip() for line in lines[body[0].lineno - 1 : function.end_lineno]]
    return sum(bool(line) and not line.startswith("#") for line in code)


def ruff(*arguments: str | Path) -> str:
    """What the linter says, with the configuration of the project."""
    command = [RUFF, "check", "--no-cache", "--output-format=concise", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_files_and_functions_are_short() -> None:
    assert list(size_faults(PACKAGE, ROOT / "tests")) == []


@pytest.mark.parametrize("lines", [MAX_FUNCTION, MAX_FUNCTION + 1])
def test_a_long_function_is_noticed(tmp_path: Path, lines: int) -> None:
    body = "\n\n    # a comment is free\n".join("    x += 1" for _ in range(lines))
    plant(tmp_path, "long.py", f'def f(x):\n    """One.\n\n    Two.\n    """\n{body}')
    assert len(list(size_faults(tmp_path))) == (lines > MAX_FUNCTION)


def test_a_long_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * MAX_FILE)
    assert list(size_faults(tmp_path)) == []
    plant(tmp_path, "long.py", "x = 2")
    assert list(size_faults(tmp_path))


def test_names_of_tests_are_short() -> None:
    assert list(long_names(ROOT / "tests")) == []


@pytest.mark.parametrize("words", [MAX_WORDS, MAX_WORDS + 1])
def test_a_long_name_of_a_test_is_noticed(tmp_path: Path, words: int) -> None:
    name = "_".join(["word"] * words)
    code = f"def {name}_of_a_helper(): ...\n\n\nclass TestIt:\n    async def test_{name}(self): ..."
    plant(tmp_path, "test_module.py", code)
    assert len(list(long_names(tmp_path))) == (words > MAX_WORDS)


def test_nothing_is_too_complex_and_what_is_is_noticed(tmp_path: Path) -> None:
    branches = "\n".join(f"    if x == {n}:\n        return {n}" for n in range(10))
    plant(tmp_path, "deep.py", f'"""Deep."""\n\n\ndef f(x: int) -> int:\n{branches}\n    return 0')
    assert "C901" in ruff("--config", ROOT / "pyproject.toml", tmp_path)
    assert "C901" not in ruff("--ignore-noqa", "--select=C901", PACKAGE, ROOT / "tests")
