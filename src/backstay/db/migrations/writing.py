"""Writes the next revision of a history, so that it runs on both databases."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateIndexOp,
    CreateTableOp,
    DropIndexOp,
    MigrateOperation,
    ModifyTableOps,
    OpContainer,
)
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy import Column, Connection

from backstay.db.base import Base
from backstay.db.migrations.comparison import Comparison
from backstay.db.migrations.rendering import EnumOp, has_type, render
from backstay.db.migrations.reported import in_order, understood
from backstay.db.migrations.runner import (
    NUMBERED,
    Histories,
    History,
    MigrationError,
    config_of,
    forget,
    heads_of,
    quiet,
    revision_files,
    revision_id,
    worded,
)

if TYPE_CHECKING:
    from alembic.operations.ops import MigrationScript

_Place = tuple[str, str]
_IN_PLACE = AddColumnOp, CreateIndexOp, DropIndexOp
"""What SQLite changes without rebuilding a table."""
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
    options: dict[str, Any] = {"render_item": render, "render_as_batch": True}
    comparison = Comparison.of(histories, history.label)
    if not empty:
        options |= comparison.options
    config = config_of(histories, connection, options=options)
    config.set_main_option("file_template", f"{number:04d}_%%(slug)s")
    with worded(), quiet():
        script = command.revision(
            config,
            _title(message),
            autogenerate=not empty,
            head=head or "base",
            branch_label=None if head else history.label,
            version_path=history.folder,
            rev_id=revision_id(history, number),
            depends_on=depends_on,
            process_revision_directives=None if empty else partial(_complete, comparison),
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


def _complete(
    comparison: Comparison, context: MigrationContext, _: Any, written: "list[MigrationScript]"
) -> None:
    """Write nothing if there is no difference; add what Alembic leaves out.

    That is the types of new enumerations, and the indexes of expressions: SQLite cannot describe
    them, and loses them when a table is rebuilt.
    """
    up, down = written[0].upgrade_ops, written[0].downgrade_ops
    if up is None or down is None or context.connection is None:
        return
    for index in comparison.unseen(context.connection):
        create = CreateIndexOp.from_index(index)
        up.ops.append(create)
        down.ops.insert(0, create.reverse())
    if up.is_empty():
        written.clear()
        return
    in_order(up, down)
    if context.dialect.name == "sqlite":
        understood(_each(down.ops))
    new = {op.index_name for op in _each(up.ops) if isinstance(op, CreateIndexOp)}
    for direction in (up, down):
        for op in [op for op in direction.ops if isinstance(op, ModifyTableOps)]:
            direction.ops.extend(_lost_by(op, new))
    added = {place: type_ for op in _each(up.ops) for place, type_ in _added(op)}
    enums = {type_.name: type_ for type_ in added.values() if has_type(type_)}
    older = {type_.name for place, type_ in _declared() if place not in added and has_type(type_)}
    for name, enum in sorted(enums.items(), reverse=True):
        up.ops.insert(0, EnumOp(enum, "create"))
        if name not in older:
            down.ops.append(EnumOp(enum, "drop"))


def _lost_by(op: ModifyTableOps, new: set[Any]) -> Iterator[CreateIndexOp]:
    """What makes the indexes again that SQLite loses when it rebuilds the table."""
    if all(isinstance(each, _IN_PLACE) for each in op.ops):
        return
    for index in Base.metadata.tables[op.table_name].indexes:
        if is_expression_index(index) and index.name not in new:
            create = CreateIndexOp.from_index(index)
            create.if_not_exists = True
            yield create


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
