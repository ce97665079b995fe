"""The order of a list and the rows behind a position in it, nulls last in both directions."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Join,
    UnaryExpression,
    and_,
    bindparam,
    or_,
    true,
    tuple_,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression


class SortKey:
    """A column that a list may be sorted by; ``adapter`` writes its values into cursors.

    Raises:
        TypeError: the Python type of the column is unknown.
    """

    def __init__(self, column: ColumnElement[Any], *, may_be_null: bool) -> None:
        self.column, self.may_be_null = column, may_be_null
        try:
            python_type: Any = column.type.python_type
        except NotImplementedError:
            python_type = object
        if python_type is object:
            raise TypeError(f"the type of {column} is unknown")
        self.adapter = TypeAdapter[Any](python_type | None if may_be_null else python_type)


class Ordered(NamedTuple):
    """A key in the order of one statement, which may be the reverse of the list's."""

    key: SortKey
    descending: bool
    nulls_first: bool

    def clause(self) -> ColumnElement[Any]:
        """The term of ORDER BY."""
        column = self.key.column
        term = column.desc() if self.descending else column.asc()
        if not self.key.may_be_null:
            return term
        return term.nulls_first() if self.nulls_first else term.nulls_last()

    def beyond(self, value: ColumnElement[Any], is_null: bool) -> ColumnElement[bool] | None:
        """The predicate for rows behind a value of this key; None if there are none."""
        column = self.key.column
        if is_null:
            return column.is_not(None) if self.nulls_first else None
        behind = column < value if self.descending else column > value
        nulls_follow = self.key.may_be_null and not self.nulls_first
        return or_(behind, column.is_(None)) if nulls_follow else behind

    def same(self, value: ColumnElement[Any], is_null: bool) -> ColumnElement[bool]:
        """The predicate for rows with the same value."""
        column = self.key.column
        return column.is_(None) if is_null else column == value

    def within_reach(self, value: ColumnElement[Any], is_null: bool) -> ColumnElement[bool]:
        """The predicate for the same value and all behind it, by which an index is entered."""
        column = self.key.column
        if is_null:
            return true() if self.nulls_first else column.is_(None)
        reached = column <= value if self.descending else column >= value
        nulls_follow = self.key.may_be_null and not self.nulls_first
        return or_(reached, column.is_(None)) if nulls_follow else reached


def behind(order: Sequence[Ordered], nulls: Sequence[bool]) -> ColumnElement[bool]:
    """The rows behind a position, whose values are bound as ``_key0``, ``_key1``…

    ``nulls`` tells which of these values are null; those are not bound.
    """
    values = [bindparam(f"_key{n}", type_=each.key.column.type) for n, each in enumerate(order)]
    directions = {each.descending for each in order}
    if len(directions) == 1 and not any(each.key.may_be_null for each in order):
        compare = operator.lt if directions.pop() else operator.gt
        columns = (each.key.column for each in order)
        all_behind: ColumnElement[bool] = compare(tuple_(*columns), tuple_(*values))
        return all_behind
    equal: list[ColumnElement[bool]] = []
    alternatives: list[ColumnElement[bool]] = []
    for each, value, is_null in zip(order, values, nulls, strict=True):
        beyond = each.beyond(value, is_null)
        if beyond is not None:
            alternatives.append(and_(*equal, beyond))
        equal.append(each.same(value, is_null))
    return and_(order[0].within_reach(values[0], nulls[0]), or_(*alternatives))


def may_be_null(column: ColumnElement[Any], from_: FromClause) -> bool:
    """Whether a column can be null in a row of a FROM, as in the optional side of a join."""
    if isinstance(column, UnaryExpression | BinaryExpression):
        return column.operator not in {operators.is_, operators.is_not}
    if not isinstance(column, Column):
        return True
    return bool(column.nullable) or column.table in set(_optional(from_))


def _optional(from_: FromClause) -> Iterator[FromClause]:
    """The tables that a row may lack."""
    if not isinstance(from_, Join):
        return
    yield from _optional(from_.left)
    yield from _optional(from_.right)
    if from_.isouter or from_.full:
        yield from tables_of(from_.right)
    if from_.full:
        yield from tables_of(from_.left)


def tables_of(from_: FromClause) -> Iterator[FromClause]:
    """The tables, aliases and subqueries that are joined."""
    if isinstance(from_, Join):
        yield from tables_of(from_.left)
        yield from tables_of(from_.right)
    else:
        yield from_
