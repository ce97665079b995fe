"""A project on disk into which made-up blueprints are brought."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from backstay.blueprints import journal
from backstay.blueprints.journal import unfinished
from backstay.blueprints.records import Record
from backstay.blueprints.tree import Action, Plan

RECORD = Record("entity", "rig", {"fields": ["name"]})
FIELDS = "a = 1\n\nb = 2\n\nc = 3\n"


def plan(root: Path, rendered: Mapping[str, str], record: Record = RECORD) -> Plan:
    return Plan.of(root, rendered, record)


def generate(root: Path, rendered: Mapping[str, str], record: Record = RECORD) -> Plan:
    """Bring a rendering into the project; the plan that was applied."""
    made = plan(root, rendered, record)
    made.apply()
    return made


def actions(made: Plan) -> dict[str, Action]:
    return {change.path: change.action for change in made.changes}


def content(root: Path) -> dict[str, bytes]:
    """Every file of the person, by path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".blueprints" not in path.parts
    }


def everything(root: Path) -> dict[str, bytes]:
    """Every file, by path, with what is kept of the blueprints."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def interrupted(made: Plan) -> None:
    """Stop a command after it has written two files, as if it were killed."""
    written = mock.Mock(side_effect=[mock.DEFAULT, mock.DEFAULT, KeyboardInterrupt])
    original = journal._put

    def put(*arguments: Any) -> None:
        written()
        original(*arguments)

    with (
        mock.patch.object(journal, "_put", put),
        mock.patch.object(journal, "_backward"),
        suppress(KeyboardInterrupt),
    ):
        made.apply()
    assert unfinished(made.root)
