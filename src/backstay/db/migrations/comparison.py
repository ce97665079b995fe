"""Compares models with a database, and finds out which history made what the database has."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    Table,
    create_engine,
    inspect,
    text,
)
from sqlalchemy.pool import StaticPool

from backstay.db import sqlite
from backstay.db.base import Base
from backstay.db.faults import first_line
from backstay.db.migrations import steps
from backstay.db.migrations.runner import PLATFORM, Histories, heads_of, quiet, worded
from backstay.settings.project import OWN_COPY

Part = tuple[str, str, str]
"""A table, or something of it: what it is in Alembic's words, the name of the table, its own."""

_PACKAGE = __name__.partition(".")[0]
_HOME = Path(sys.modules[_PACKAGE].__path__[0])
_SQLITE_INDEXES = text("SELECT name FROM sqlite_master WHERE type = 'index'")
_PARTITIONS = text(
    "SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p') "
    "AND relnamespace = current_schema()::regnamespace"
)
_LEFT = "The column {} is in no model any more: it is left until a migration drops it."
_VERSIONS, _CHECK = "alembic_version", "check_constraint"


@dataclass(frozen=True, slots=True)
class Makers:
    """By part, the label of the history that made it; ``fault`` is why some may be missing."""

    labels: Mapping[Part, str]
    fault: str | None = None

    def of(self, kind: str, table: str, *names: str) -> str | None:
        """The label for the first of these names that a history gave."""
        found = (self.labels.get((_kind(kind), table, name)) for name in names)
        return next((label for label in found if label), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare, and what was found in the database that no model has.

    Attributes:
        additions: what no history made either.
        left: columns of the form ``table.column`` that the models no longer have, where rows can be
            written all the same: the code that runs before a column is dropped has none any more.
        partitions: tables of PostgreSQL that are not compared: they are parts of another table.
    """

    histories: Histories
    wanted: Collection[str]
    makers: Makers
    additions: set[Part] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    partitions: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, histories: Histories, *labels: str) -> "Comparison":
        """The comparison of the tables of some histories, by default of all."""
        wanted = labels or tuple(history.label for history in histories)
        return cls(histories, wanted, makers(histories))

    @property
    def options(self) -> dict[str, Any]:
        """The options of Alembic."""
        return {
            "target_metadata": Base.metadata,
            "include_object": self._is_compared,
            "compare_server_default": default_differs,
        }

    def drift(self, connection: Connection) -> list[str]:
        """The differences that matter, in words; `remarks` tells the others."""
        if connection.dialect.name == "postgresql":
            self.partitions.update(connection.scalars(_PARTITIONS))
        with worded(), quiet():
            context = MigrationContext.configure(connection, opts=self.options)
            found = _flat(compare_metadata(context, Base.metadata))
            self.additions.update(self._added_checks(connection))
        found += [("add_index", index) for index in self.unseen(connection)]
        left = {(each[2], each[3].name) for each in found if _is_left(*each)}
        self.left.extend(sorted(f"{table}.{name}" for table, name in left))
        found = [each for each in found if not _is_left(*each) and not _is_of(left, *each)]
        return sorted(map(_in_words, found))

    def unseen(self, connection: Connection) -> list[Index]:
        """The indexes of expressions that SQLite lacks, where Alembic cannot see them."""
        if connection.dialect.name != "sqlite":
            return []
        there = set(connection.scalars(_SQLITE_INDEXES))
        return [
            index
            for table in Base.metadata.sorted_tables
            if self._owner(table.name) in self.wanted
            for index in sorted(table.indexes, key=lambda each: str(each.name))
            if is_expression_index(index) and index.name not in there
        ]

    def _added_checks(self, connection: Connection) -> Iterator[Part]:
        """The check constraints that nobody declared, which Alembic does not look for."""
        for kind, table, name in parts(connection):
            model = Base.metadata.tables.get(table)
            if kind != _CHECK or model is None or self.makers.of(kind, table, name):
                continue
            if name not in {
                str(c.name) for c in model.constraints if isinstance(c, CheckConstraint)
            }:
                yield kind, table, name

    def _is_compared(
        self, item: Any, name: str | None, kind: str, reflected: bool, other: Any
    ) -> bool:
        table = (item if kind == "table" else item.table).name
        owner = self._owner(table)
        if table in self.partitions:
            return False
        if not reflected or other is not None:
            return owner in self.wanted
        columns = ",".join(item.columns.keys()) if "constraint" in kind else ""
        maker = self.makers.of(kind, table, name or "", columns)
        if maker is None:
            self.additions.add((kind, table, name or columns))
        if kind == "table" and maker == PLATFORM.label:
            return False  # it may belong to a feature that is switched off
        return maker is not None and maker == owner and maker in self.wanted

    def remarks(self) -> list[str]:
        """What was found that no model has and that is no fault, in sentences."""
        left = [_LEFT.format(each) for each in self.left]
        told = [_remark(*part) for part in sorted(self.additions, key=lambda p: (p[1], p))]
        if told and self.makers.fault:
            told.append(
                f"A migration may have made some of it, which is unknown: {self.makers.fault}."
            )
        return [*left, *told]

    def _owner(self, table: str) -> str | None:
        """The label of the history that a table belongs to: its model's, else its maker's."""
        model = Base.metadata.tables.get(table)
        if model is None:
            return self.makers.of("table", table, table)
        return str(model.info["owner"]) if "owner" in model.info else self._by_module(model)

    def _by_module(self, model: Table) -> str | None:
        if model in _packaged():
            return PLATFORM.label
        projects = [each.label for each in self.histories if each.label != PLATFORM.label]
        return projects[-1] if projects else None


def _packaged() -> set[Any]:
    """The tables of the package's own models; those of code that a project owns are not.

    What the project adds to the model of an ejected feature, or to any in its copy of all of
    Backstay, thus becomes a migration of the project, while what the package's history made stays,
    whatever the copy says of it.
    """
    if OWN_COPY:
        return set()
    mapped = Base.registry.mappers
    return {m.local_table for m in mapped if _is_packaged(m.class_.__module__)}


def _is_packaged(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return module.partition(".")[0] == _PACKAGE and Path(file or "").is_relative_to(_HOME)


def makers(histories: Histories) -> Makers:
    """What each history makes, by running it on an empty SQLite database in memory."""
    labels: dict[Part, str] = {}
    engine = create_engine("sqlite://", module=sqlite.in_use().module, poolclass=StaticPool)
    try:
        with engine.connect() as connection, quiet():
            for history in histories:
                for head in heads_of(histories, history):
                    steps.upgrade(connection, histories, head)
                for part in parts(connection):
                    labels.setdefault(part, history.label)
    except Exception as error:  # a revision may raise anything where it was not made to run
        return Makers(labels, f"{history.label} cannot be run on SQLite: {first_line(error)}")
    finally:
        engine.dispose()
    return Makers(labels)


def parts(connection: Connection) -> Iterator[Part]:
    """The tables of a database, with their columns, indexes and constraints.

    A constraint without a name is called after its columns.
    """
    inspector = inspect(connection)
    for table in inspector.get_table_names():
        if table == _VERSIONS:
            continue
        yield "table", table, table
        for kind, found in _of_table(inspector, table):
            for each in found:
                columns = each.get("column_names") or each.get("constrained_columns") or ()
                if name := each["name"] or ",".join(columns):
                    yield _kind(kind), table, name


def _of_table(inspector: Any, table: str) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    yield "column", inspector.get_columns(table)
    yield "index", inspector.get_indexes(table)
    yield "unique_constraint", inspector.get_unique_constraints(table)
    yield "foreign_key_constraint", inspector.get_foreign_keys(table)
    yield _CHECK, inspector.get_check_constraints(table)


def _kind(kind: str) -> str:
    """PostgreSQL shows a unique constraint as an index, too."""
    return "index" if kind == "unique_constraint" else kind


def _remark(kind: str, table: str, name: str) -> str:
    what = f"The {kind.replace('_', ' ')} {name}" + (f" of {table}" if kind != "table" else "")
    return f"{what} belongs to no model, and no migration made it: it is left as it is."


def _is_left(kind: str, *rest: Any) -> bool:
    """Whether it is a column without a model that leaves nobody from adding rows."""
    return kind == "remove_column" and (rest[2].nullable or rest[2].server_default is not None)


def _is_of(columns: Collection[tuple[str, str]], kind: str, *rest: Any) -> bool:
    """Whether it is an index or a constraint of such columns alone, and refuses no new row."""
    if kind not in {"remove_index", "remove_constraint", "remove_fk"}:
        return False
    own = list(rest[0].columns)
    return bool(own) and all(
        (rest[0].table.name, each.name) in columns and each.server_default is None for each in own
    )


def _flat(differences: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [d for group in differences for d in (group if isinstance(group, list) else [group])]


def _in_words(difference: tuple[Any, ...]) -> str:
    kind, *rest = difference
    names = [part if isinstance(part, str) else getattr(part, "name", None) for part in rest[:4]]
    return f"{kind.replace('_', ' ')}: " + ".".join(str(name) for name in names if name)


def default_differs(
    context: MigrationContext,
    inspected: Column[Any],
    column: Column[Any],
    inspected_default: str | None,
    *rendered: str | None,
) -> bool | None:
    """Whether a default with quotes differs, which Alembic puts into SQL as they are.

    None lets Alembic compare.
    """
    default = getattr(column.server_default, "arg", None)
    if not isinstance(default, str) or "'" not in default:
        return None
    literal = "'" + default.replace("'", "''") + "'"
    return not f"{inspected_default}::".startswith(f"{literal}::")
