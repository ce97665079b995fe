"""Shows that nobody but the transaction step ends a transaction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, copy_of_project, plant, sources

COMMITTERS = {Path("db/session.py")}
OWN_CONNECTIONS = COMMITTERS | {Path("db/migrate.py")}
"""Migrations run outside the application, on connections of their own."""


def commit_faults(package: Path) -> Iterator[str]:
    """Every call that commits, or opens a block that commits at its end."""
    for path, tree in sources(package):
        inside = path.relative_to(package)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            if node.attr in {"commit", "_commit"} and inside not in COMMITTERS:
                yield f"{inside}:{node.lineno}: only the transaction step commits"
            elif node.attr == "begin" and inside not in OWN_CONNECTIONS:
                yield f"{inside}:{node.lineno}: `begin` commits at the end of its block"


def test_only_the_transaction_step_commits() -> None:
    assert list(commit_faults(PACKAGE)) == []


@pytest.mark.parametrize(
    "code",
    [
        "async def late(session):\n    await session.commit()",
        "def hidden(session):\n    return session.sync_session.commit",
        "async def block(session):\n    async with session.begin():\n        pass",
        "async def private(session):\n    await session._commit()",
    ],
)
def test_a_commit_elsewhere_is_noticed(tmp_path: Path, code: str) -> None:
    package = copy_of_project(tmp_path)
    plant(package, "features/items/commands.py", code)
    (fault,) = commit_faults(package)
    assert fault.startswith("features/items/commands.py:")
