"""Finds what migrations do to those who use the database meanwhile, on PostgreSQL.

Each revision is run against a database that does not exist, and its SQL is judged: SQL that was
written by hand and operations of Alembic are judged alike.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlalchemy import String, create_mock_engine

from backstay.db.migrations.declared import oldest_code, runs_outside
from backstay.db.migrations.hazards import Hazard, Judge
from backstay.db.migrations.runner import Histories, History, history_of, quiet, scripts, worded

_REASON = re.compile(r"#\s*lint:\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Finding:
    """A hazard, and where it is."""

    file: Path
    line: int
    hazard: Hazard

    def __str__(self) -> str:
        file = self.file
        with suppress(ValueError):
            file = file.relative_to(Path.cwd())
        return f"{file}:{self.line}: {self.hazard.wrong} {self.hazard.safe}"


def lint(histories: Histories, history: History, after: str | None = None) -> list[Finding]:
    """What is hazardous in the revisions of a history, or in those after one of them.

    Raises:
        MigrationError: there is no such revision, or the files contradict each other.
    """
    with worded():
        known = scripts(histories)
        first = known.get_revision(after).revision if after else None
        line = [
            each
            for each in known.walk_revisions()
            if history_of(histories, each.revision) == history
        ]
    names = [each.revision for each in line]
    line = line[: names.index(first)] if first in names else line
    return [found for script in reversed(line) for found in findings(script)]


def findings(script: Script) -> list[Finding]:
    """What is hazardous in one revision, without what its comments give a reason for."""
    path = Path(script.path)
    source, judge = path.read_text("utf-8").splitlines(), Judge(runs_outside(script))
    found: dict[Finding, None] = {}

    def judged(statement: str, line: int, widens: bool) -> None:
        for hazard in judge.hazards(statement, widens=widens):
            excused = any(map(_REASON.search, source[max(0, line - 2) : line]))
            if not excused and not (hazard.breaks and oldest_code(script)):
                found[Finding(path, line, hazard)] = None

    try:
        with quiet():
            run_offline(script, judged)
    except Exception as error:  # a revision may do anything with rows that are not there
        told = Hazard(
            f"It cannot be judged without a database: {type(error).__name__}: {error}.",
            "Look at the rest yourself, and say so here.",
        )
        line = _line_in(path, error) or 1
        if not any(map(_REASON.search, source[max(0, line - 2) : line])):
            found[Finding(path, line, told)] = None
    return list(found)


def run_offline(script: Script, judged: Callable[[str, int, bool], None]) -> None:
    """Run a revision, and hand on each statement with its line."""
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": StringIO()}
    )
    impl: Any = context.impl
    alter, widening = impl.alter_column, []

    def alter_column(*names: Any, **changes: Any) -> None:
        if _widens(changes.get("existing_type"), changes.get("type_")):
            widening.append(True)
        alter(*names, **changes)
        widening.clear()

    def record(statement: str) -> None:
        for each in statement.split(";\n"):
            judged(each, _line_of(script.path), bool(widening))

    def executed(statement: Any, *_: Any, **__: Any) -> "_NoRows":
        compiled = (
            statement if isinstance(statement, str) else statement.compile(dialect=impl.dialect)
        )
        record(str(compiled))
        return _NoRows()

    impl.static_output, impl.alter_column = record, alter_column
    impl.connection = create_mock_engine("postgresql://", executed)
    with Operations.context(context):
        script.module.upgrade()


def _widens(old: Any, new: Any) -> bool:
    if not (isinstance(old, String) and isinstance(new, String)):
        return False
    return new.length is None or (old.length is not None and new.length >= old.length)


class _NoRows:
    """The answer to whatever a revision reads."""

    def __getattr__(self, name: str) -> Callable[..., "_NoRows"]:
        return lambda *_, **__: self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False


def _line_of(path: str) -> int:
    """The line of a revision that is running."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == path:
            return int(frame.f_lineno)
        frame = frame.f_back
    return 1


def _line_in(path: Path, error: Exception) -> int | None:
    """The line of a revision in which an error was raised."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
