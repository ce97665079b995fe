"""Writes the next revision of a history, so that it runs on both databases."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alembic import command
from alembic.autogenerate import renderers
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateTableOp,
    MigrateOperation,
    OpContainer,
)
from alembic.script import Script
from sqlalchemy import Column, Connection, Enum
from sqlalchemy.schema import DefaultClause
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlalchemy.util import generic_repr

from backstay.db.base import Base, UtcDateTime
from backstay.db.migrations.comparison import Comparison
from backstay.db.migrations.runner import (
    NUMBERED,
    Histories,
    History,
    MigrationError,
    config_of,
    forget,
    heads_of,
    revision_files,
    revision_id,
    worded,
)

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrationScript

_Place = tuple[str, str]
_DEFAULTS: dict[type[Any], str] = {
    True_: "sa.true()",
    False_: "sa.false()",
    now: "sa.func.now()",
}
"""How defaults are written that Alembic would write in the words of the present database."""
_INSTALLED = {"site-packages", "dist-packages"}
_LONGEST = 32 - len("_0000")
"""Of a label: Alembic stores revisions in a column of 32 characters."""


def write(
    connection: Connection, histories: Histories, history: History, message: str, *, empty: bool
) -> Path | None:
    """Write the next revision of a history; None when models and database agree.

    It depends on the last revisions of the histories before its own, which the database has.

    Raises:
        MigrationError: nothing was written; the text says why.
    """
    _require_folder(history)
    if history not in histories:
        histories = (*histories, history)
    below = histories[: histories.index(history)]
    head = _head(histories, history)
    numbers = [
        int(found[1]) for p in revision_files(history) if (found := NUMBERED.fullmatch(p.name))
    ]
    number = 1 + max(numbers, default=0)
    depends_on: Any = [last for each in below for last in heads_of(histories, each)] or None
    options: dict[str, Any] = {"render_item": _render, "render_as_batch": True}
    if not empty:
        options |= Comparison.of(histories, history.label).options
    config = config_of(histories, connection, options=options)
    config.set_main_option("file_template", f"{number:04d}_%%(slug)s")
    with worded():
        script = command.revision(
            config,
            _title(message),
            autogenerate=not empty,
            head=head or "base",
            branch_label=None if head else history.label,
            version_path=history.folder,
            rev_id=revision_id(history, number),
            depends_on=depends_on,
            process_revision_directives=None if empty else _complete,
        )
    forget()
    return Path(script.path) if isinstance(script, Script) else None


def _title(message: str) -> str:
    """The message as the first line of a docstring."""
    title = " ".join(message.split()).replace("\\", "/").replace('"', "'").rstrip(".")
    if not any(letter.isalnum() for letter in title):
        raise MigrationError("Say in a few words what the migration changes: they name its file.")
    return title


def _head(histories: Histories, history: History) -> str | None:
    heads = heads_of(histories, history)
    if len(heads) > 1:
        raise MigrationError(
            f"The history {history.label} ends in {' and '.join(heads)}: let the `down_revision` "
            "of one name the other, so that one follows the other."
        )
    return heads[0] if heads else None


def _require_folder(history: History) -> None:
    """Refuse a folder that belongs to an installed package, or that cannot be written."""
    if len(history.label) > _LONGEST:
        raise MigrationError(
            f"{history.label} is too long to name revisions: it may have {_LONGEST} letters."
        )
    if _INSTALLED.intersection(history.folder.resolve().parts):
        raise MigrationError(
            f"{history.folder} belongs to an installed package, whose migrations come with its "
            "versions: run this in the project whose models have changed."
        )
    fault = None
    try:
        history.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fault = error.strerror
    if fault or not os.access(history.folder, os.W_OK):
        raise MigrationError(
            f"No migration can be written into {history.folder}: {fault or 'Permission denied'}."
        )


def _complete(_: Any, __: Any, written: "list[MigrationScript]") -> None:
    """Write nothing if there is no difference; create and drop the types of new enumerations."""
    up, down = written[0].upgrade_ops, written[0].downgrade_ops
    if up is None or down is None or up.is_empty():
        written.clear()
        return
    added = {place: type_ for op in _each(up.ops) for place, type_ in _added(op)}
    enums = {type_.name: type_ for type_ in added.values() if _has_type(type_)}
    older = {type_.name for place, type_ in _declared() if place not in added and _has_type(type_)}
    for name, enum in sorted(enums.items(), reverse=True):
        up.ops.insert(0, _EnumOp(enum, "create"))
        if name not in older:
            down.ops.append(_EnumOp(enum, "drop"))


def _each(ops: Iterable[MigrateOperation]) -> Iterator[MigrateOperation]:
    for op in ops:
        if isinstance(op, OpContainer):
            yield from _each(op.ops)
        else:
            yield op


def _added(op: MigrateOperation) -> Iterator[tuple[_Place, Any]]:
    """The columns that get a type."""
    if isinstance(op, CreateTableOp):
        for column in op.columns:
            if isinstance(column, Column):
                yield (op.table_name, column.name), column.type
    elif isinstance(op, AddColumnOp):
        yield (op.table_name, op.column.name), op.column.type
    elif isinstance(op, AlterColumnOp) and op.modify_type is not None:
        yield (op.table_name, op.column_name), op.modify_type


def _declared() -> Iterator[tuple[_Place, Any]]:
    for table in Base.metadata.tables.values():
        for column in table.columns:
            yield (table.name, column.name), column.type


def _has_type(item: Any) -> bool:
    """Whether PostgreSQL has a type of its own for this one, which tables do not drop."""
    return isinstance(item, Enum) and item.native_enum and bool(item.name)


class _EnumOp(MigrateOperation):
    """Creates or drops the type of an enumeration; SQLite has none."""

    def __init__(self, enum: Enum, what: str) -> None:
        self.enum, self.what = enum, what


@renderers.dispatch_for(_EnumOp)
def _render_enum_op(context: "AutogenContext", op: _EnumOp) -> str:
    return f"{_named(op.enum, context)}.{op.what}(op.get_bind(), checkfirst=True)"


def _render(kind: str, item: Any, context: "AutogenContext") -> str | Literal[False]:
    """What stands in the file for a type or a default; False leaves it to Alembic."""
    if kind == "server_default" and isinstance(item, DefaultClause):
        return _DEFAULTS.get(type(item.arg), False)
    if kind != "type" or item._variant_mapping:
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if _has_type(item):
        return f"{_named(item, context)[:-1]}, create_type=False)"  # _EnumOp creates it
    module = type(item).__module__
    if module.partition(".")[0] == "sqlalchemy":
        return False
    context.imports.add(f"import {module}")
    return f"{module}.{_call(item)}"


def _named(enum: Enum, context: "AutogenContext") -> str:
    module = type(enum).__module__
    if not module.startswith("sqlalchemy.dialects."):
        return f"sa.{enum!r}"
    dialect = module.split(".")[2]
    context.imports.add(f"from sqlalchemy.dialects import {dialect}")
    return f"{dialect}.{enum!r}"


def _call(item: TypeEngine[Any]) -> str:
    """The call that makes a type of the project; its own ``__repr__`` is believed."""
    made: Any = type(item)
    if not made.__repr__.__module__.startswith("sqlalchemy."):
        return repr(item)
    if not isinstance(item, TypeDecorator) or made.__init__ is not TypeDecorator.__init__:
        return generic_repr(item)
    if isinstance(made.impl, TypeEngine):
        return f"{made.__name__}()"  # the arguments are those of `impl`
    return generic_repr(item, to_inspect=item.impl)
