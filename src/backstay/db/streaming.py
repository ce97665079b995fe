"""Streams the rows of a statement in batches, each read on a connection that is given back."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    Select,
    Table,
    UnaryExpression,
    UniqueConstraint,
    bindparam,
    tuple_,
)
from sqlalchemy.sql import coercions, roles

from backstay.core.background import in_background
from backstay.core.messages import View
from backstay.core.streams import Stream
from backstay.db.measuring import BYTES, OTHER_ROWS, ROWS, Key, measured_batch
from backstay.db.plain import Parameters
from backstay.db.session import Reader

V = TypeVar("V", bound=View)

ROWS_PER_BATCH = 1000
"""The most rows that one statement of a stream reads."""
BYTES_PER_BATCH = 1_000_000
"""The most bytes in columns without a small length that one statement reads, and one row more."""


def stream_rows(
    reader: Reader,
    statement: Select[*tuple[Any, ...]],
    view: type[V],
    parameters: Parameters = None,
    *,
    key: Key | tuple[Key, ...],
    filename: str = "",
) -> Stream[V]:
    """Every row of a statement as a stream of views, in ascending order of ``key``.

    The columns of the statement have the names of the view's fields. ``key`` is one or several
    columns of its tables that are never null and together unique, such as ``Order.id``: a batch
    begins behind the key of the last row (keyset paging), so that each one costs the same. Each
    batch sees what is committed when it is read: a row that is added or changed meanwhile may be
    in the stream or not, but no row is in it twice unless its key changes.

    Raises:
        ValueError: the statement has an order or a limit of its own, or rows would be left out,
            because the key may be null or is not unique.
        LookupError: a field of the view is no column of the statement.
        TypeError: the key is a descending order.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if statement._order_by_clauses or statement._has_row_limiting_clause:
        raise ValueError(
            "stream_rows() orders and limits the statement itself: remove its order_by(), limit() "
            "and offset(), and name the order as key=."
        )
    _check_key(statement, keys)
    names = [column.key for column in statement.selected_columns]
    required = {n for n, field in view.model_fields.items() if field.is_required()}
    if missing := sorted(required - set(names)):
        raise LookupError(
            f"stream_rows() finds no column for `{missing[0]}` of {view.__name__}: "
            f"select it, for example as column.label({missing[0]!r})."
        )
    places = (bindparam(f"_key{n}", type_=each.type) for n, each in enumerate(keys))
    first = measured_batch(statement, keys)
    further = measured_batch(statement.where(tuple_(*keys) > tuple_(*places)), keys)
    many = TypeAdapter(list[view])  # type: ignore[valid-type]

    async def batches() -> AsyncIterator[Sequence[V]]:
        asked, given = first, dict(parameters or {})
        most, given[BYTES] = ROWS_PER_BATCH, BYTES_PER_BATCH
        while True:
            given[ROWS], given[OTHER_ROWS] = most, most - 1
            # a driver that is interrupted within a statement may lose its connection
            rows = await asyncio.shield(in_background(reader.rows(asked, given)))
            yield many.validate_python([dict(zip(names, row, strict=False)) for row in rows])
            is_cut = sum(row[-1] for row in rows) > BYTES_PER_BATCH
            if len(rows) < most and not is_cut:
                return
            # not many more are measured than are read, and soon as many as may be
            most = min(ROWS_PER_BATCH, 2 * len(rows))
            last = rows[-1][len(names) : -1]
            asked = further
            given |= {f"_key{n}": value for n, value in enumerate(last)}

    return Stream(batches(), filename=filename)


def _check_key(statement: Select[*tuple[Any, ...]], keys: tuple[Key, ...]) -> None:
    """Refuse a key that would leave rows out at the border of two batches.

    Whether a computed value, or a column of a subquery, is unique cannot be known.
    """
    columns = [coercions.expect(roles.ColumnArgumentRole, key) for key in keys]
    for column in columns:
        if getattr(column, "nullable", False):
            raise ValueError(f"stream_rows(): {column} may be null, so it cannot be part of key=.")
        if isinstance(column, UnaryExpression):
            raise TypeError(f"stream_rows() reads in ascending order: name columns, not {column}.")
    tables = [each.table for each in columns if isinstance(getattr(each, "table", None), Table)]
    if statement._group_by_clauses or len(tables) < len(columns):
        return
    named = {(each.table.name, each.name) for each in columns}
    unique = (each for table in tables for each in _unique_sets(table))
    if not any({(c.table.name, c.name) for c in each} <= named for each in unique):
        told = ", ".join(map(str, columns))
        raise ValueError(
            f"stream_rows(): key={told} is not unique, so that rows could be left out: "
            "add the primary key as its last column."
        )


def _unique_sets(table: Table) -> Iterator[Iterable[Column[Any]]]:
    yield table.primary_key.columns
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield constraint.columns
