"""Limits what one statement of a stream reads by its bytes, which the database counts.

Only the database knows how large the next rows are: a limit on their number, guessed from the rows
before, would let one user who stores large texts fill the memory of the server.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, NullType, TypeEngine

Key = ColumnElement[Any] | InstrumentedAttribute[Any]

ROWS, OTHER_ROWS, BYTES = "_rows", "_other_rows", "_bytes"
"""Parameters of a batch: the most rows, one less than these, and the most bytes."""
SHORT = 1000
"""A text of at most so many characters is not measured: a thousand of them fit into memory."""


def measured_batch(
    statement: Select[*tuple[Any, ...]], keys: Sequence[Key]
) -> Select[*tuple[Any, ...]]:
    """The first ``ROWS`` of a statement in the order of ``keys``, fewer if these exceed ``BYTES``.

    Its columns are those of the statement, the keys, and the bytes of the row. The rows together
    have at most ``BYTES``, apart from the last one.
    """
    large = [each for each in statement.selected_columns if _is_large(each.type)]
    size: ColumnElement[int] = literal(0, Integer)
    for each in large:
        size = size + func.coalesce(_size(_as_bytes(each)), 0)
    names = [each.label(f"_key{n}") for n, each in enumerate(keys)]
    ordered = statement.add_columns(*names, size.label("_size")).order_by(*keys)
    if not large:
        return ordered.limit(bindparam(ROWS, type_=Integer))
    sized = (
        statement.with_only_columns(*names, size.label("_size"), maintain_column_froms=True)
        .order_by(*keys)
        .limit(bindparam(OTHER_ROWS, type_=Integer))
        .subquery()
    )
    order = [sized.c[f"_key{n}"] for n in range(len(keys))]
    so_far = select(func.sum(sized.c["_size"]).over(order_by=order).label("_so_far")).subquery()
    fits = select(func.count()).where(so_far.c["_so_far"] <= bindparam(BYTES, type_=Integer))
    return ordered.limit(fits.scalar_subquery() + 1)


def _is_large(kind: TypeEngine[Any]) -> bool:
    """Whether values of a type may be long; those of an unknown type may be."""
    base = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if isinstance(base, String):
        return base.length is None or base.length > SHORT
    return isinstance(base, LargeBinary | JSON | NullType)


def _as_bytes(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value whose length the database knows."""
    kind = column.type
    base = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    return column if isinstance(base, String | LargeBinary) else cast(column, Text)


class _size(FunctionElement[int]):  # noqa: N801
    """The bytes of a value."""

    type = Integer()
    inherit_cache = True


@compiles(_size)
def _write(element: _size, compiler: Any, **options: Any) -> str:
    return f"octet_length({compiler.process(element.clauses, **options)})"


@compiles(_size, "sqlite")
def _write_for_sqlite(element: _size, compiler: Any, **options: Any) -> str:
    # octet_length() is younger than the oldest SQLite that is supported
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"
