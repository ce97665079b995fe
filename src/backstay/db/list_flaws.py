"""What keeps the listing of a list query from working, found before the first request."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    Enum,
    FromClause,
    Join,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.selectable import Alias

from backstay.core.listing import Equals, ListQuery, Range, Text
from backstay.core.wiring import Code, Flaw
from backstay.db.filters import is_moment, operand_of
from backstay.db.fixed_point import FixedPoint
from backstay.db.keyset import tables_of

Columns = Mapping[str, ColumnElement[Any]]

_UNORDERED = JSON, Boolean, Enum
"""Columns whose values have no order, or one that differs between the databases."""


def missing(query: type[ListQuery[Any]], use: str, error: LookupError) -> Flaw:
    """The fault of a name that stands for nothing."""
    problem = f"The listing of {query.__name__} {use}, but {error}."
    hint = "Correct the name, or say in `columns` of the listing what it stands for."
    return Flaw(Code.LIST_COLUMN, problem, hint)


def unsortable(query: type[ListQuery[Any]], name: str) -> Flaw:
    """The fault of a sort key without an order, or whose values no cursor can hold."""
    problem = f"{query.__name__} sorts by `{name}`, whose values have no known type or order."
    hint = "Leave it out of `sortable`, or give its expression a type with `type_coerce`."
    return Flaw(Code.LIST_TYPE, problem, hint)


def pathless(query: type[ListQuery[Any]], name: str) -> Flaw:
    """The fault of a path field that restricts no row."""
    problem = f"`where` of the listing of {query.__name__} ignores the path field `{name}`."
    return Flaw(Code.LIST_PATH, problem, f"Compare a column with bindparam({name!r}) in `where`.")


def filter_flaws(query: type[ListQuery[Any]], columns: Columns) -> Iterator[Flaw]:
    """The filters that cannot be compared with their columns."""
    for name, kind in query.filters().items():
        if name not in columns:
            continue
        column, operand = columns[name], operand_of(kind)
        told = f"The filter `{name}` of {query.__name__}"
        if operand is not None and not _compares(operand, column):
            problem = f"{told} compares {operand.__name__} with {_spoken(column)}."
            hint = "Declare it with the type of the column."
            if operand is float and isinstance(column.type, FixedPoint):
                hint = "Declare it with Decimal or Money: a float is not exact."
            if operand is Decimal and _python_type(column) is float:
                hint = "Declare the column with Money, or the filter with float, which is rounded."
            yield Flaw(Code.LIST_TYPE, problem, hint)
        elif issubclass(kind, Range) and isinstance(column.type, _UNORDERED):
            problem = f"{told} is a Range, and {_spoken(column)} has no order."
            yield Flaw(Code.LIST_TYPE, problem, "Declare it as Equals.")


def search_flaws(query: type[ListQuery[Any]], columns: Columns) -> Iterator[Flaw]:
    """The searched columns, and those of a `contains`, that are no texts."""
    for name, column in columns.items():
        if not isinstance(column.type, String) or isinstance(column.type, Enum):
            problem = f"{query.__name__} searches `{name}`, which is {_spoken(column)}, no text."
            hint = "Leave it out of `searchable`, or declare the filter as Equals."
            yield Flaw(Code.LIST_TYPE, problem, hint)


def is_searched(kind: type[Equals[Any]]) -> bool:
    """Whether a filter has the condition `contains`."""
    return issubclass(kind, Text)


def is_sortable(column: ColumnElement[Any]) -> bool:
    """Whether a list can be sorted by a column."""
    return not isinstance(column.type, JSON)


def join_flaws(
    query: type[ListQuery[Any]], entity: FromClause, from_: FromClause, columns: Columns
) -> Iterator[Flaw]:
    """What would multiply the rows of the entity: a table without a join, or one of several rows.

    A join through columns that are not unique in the joined table finds several rows of it.
    """
    there = set(tables_of(from_))
    told = f"The listing of {query.__name__}"
    for name, column in columns.items():
        for table in column._from_objects:
            if table not in there:
                problem = f"{told} takes `{name}` from {_name(table)}, which it does not join."
                hint = f"Add it to `from_`, as in `from_=join({_name(entity)}, ...)`."
                yield Flaw(Code.LIST_JOIN, problem, hint)
    for table in _multiplying(from_, entity):
        problem = f"{told} joins {_name(table)} by columns that are not unique in it, so that one "
        problem += "row could be in the list several times."
        hint = "Join a table by its key, or a subquery with one row for each; read children apart."
        yield Flaw(Code.LIST_JOIN, problem, hint)


def _compares(operand: type[Any], column: ColumnElement[Any]) -> bool:
    known = _python_type(column)
    if isinstance(column.type, FixedPoint | JSON):
        return operand in {Decimal, int} and known is Decimal
    if operand is date and is_moment(column):
        return True
    if known is not object and datetime in {operand, known}:
        return operand is known
    numbers = {float: {int, float}, Decimal: {int, float, Decimal}}
    return operand in numbers.get(known, ()) or issubclass(operand, known)


def _python_type(column: ColumnElement[Any]) -> type[Any]:
    try:
        return column.type.python_type
    except NotImplementedError:  # any value may fit
        return object


def _multiplying(from_: FromClause, entity: FromClause) -> Iterator[FromClause]:
    if not isinstance(from_, Join):
        return
    near, far = from_.left, from_.right
    if entity in set(tables_of(far)):
        near, far = far, near
    yield from _multiplying(near, entity)
    table = far.element if isinstance(far, Alias) else far
    if isinstance(table, Table) and from_.onclause is not None:
        equated = {c.name for c in _equated(from_.onclause) if c.table == far}
        if not any(unique <= equated for unique in _unique_sets(table)):
            yield far


def _equated(clause: Any) -> Iterator[Column[Any]]:
    """The columns that a condition binds to one value each."""
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        for part in clause.clauses:
            yield from _equated(part)
    elif isinstance(clause, BinaryExpression) and clause.operator is operators.eq:
        for side in (clause.left, clause.right):
            if isinstance(side, Column):
                yield side


def _unique_sets(table: Table) -> Iterator[set[str]]:
    yield {column.name for column in table.primary_key}
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield {column.name for column in constraint.columns}
    for index in table.indexes:
        if index.unique:
            yield {getattr(each, "name", "") for each in index.expressions}


def _name(table: Any) -> str:
    return str(getattr(table, "name", table))


def _spoken(column: ColumnElement[Any]) -> str:
    kind, known = column.type, _python_type(column)
    return f"a column of {type(kind).__name__ if known is object else known.__name__}"
