"""What SQLite reports of columns that a revision drops, put as both databases understand it.

The other direction of the revision makes these columns again. SQLite has few types of its own: it
keeps ids as ``CHAR(32)``, instants as ``DATETIME`` and floats as ``DOUBLE``, which PostgreSQL has
not or means otherwise.
"""

from collections.abc import Iterable
from typing import Any

from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateTableOp,
    DropTableOp,
    MigrateOperation,
    OpContainer,
)
from sqlalchemy import Boolean, Column, DefaultClause, Double, Uuid, false, true
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import CHAR, DATETIME, DOUBLE, TypeEngine

from backstay.db.base import UtcDateTime

_HEX = 32
"""Digits of a UUID without its hyphens."""
_TRUTH = {"1": true(), "0": false()}


def understood(ops: Iterable[MigrateOperation]) -> None:
    """Give the columns of operations that bring something back the types of both databases."""
    for op in ops:
        if isinstance(op, CreateTableOp):
            for each in op.columns:
                if isinstance(each, Column):
                    _mend(each)
        elif isinstance(op, AddColumnOp):
            _mend(op.column)
        elif isinstance(op, AlterColumnOp) and op.modify_type is not None:
            op.modify_type = _type(op.modify_type)


def _mend(column: "Column[Any]") -> None:
    default = column.server_default
    if isinstance(column.type, Boolean) and isinstance(default, DefaultClause):
        text = default.arg.text if isinstance(default.arg, TextClause) else str(default.arg)
        if (found := _TRUTH.get(text.strip("()"))) is not None:
            column.server_default = DefaultClause(found)
    column.type = _type(column.type)


def _type(reported: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(reported, DATETIME):
        return UtcDateTime()
    if isinstance(reported, DOUBLE):
        return Double()
    if isinstance(reported, CHAR) and reported.length == _HEX:
        return Uuid()
    if type(reported).__module__.startswith("sqlalchemy.dialects."):
        return reported.as_generic()
    return reported


def in_order(up: OpContainer, down: OpContainer) -> None:
    """Drop tables after those that refer to them, and make them again before."""
    tables = {op.table_name: op.to_table() for op in up.ops if isinstance(op, DropTableOp)}
    rank: dict[str, int] = {}
    while left := [name for name in tables if name not in rank]:
        needed = {
            key.target_fullname.partition(".")[0]
            for name in left
            for key in tables[name].foreign_keys
            if key.target_fullname.partition(".")[0] != name
        }
        free = [name for name in left if name not in needed] or left
        rank |= {name: len(rank) + number for number, name in enumerate(free, 1)}
    up.ops.sort(key=lambda op: rank.get(getattr(op, "table_name", ""), 0))
    down.ops.sort(key=lambda op: -rank.get(getattr(op, "table_name", ""), 0))
