"""The order of a list and the rows behind a position in it, nulls last in both directions."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

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
    tuple_,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression

Region = Literal["whole", "values", "nulls"]
Predicates = Sequence[ColumnElement[bool]]


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

    @property
    def known(self) -> "SortKey":
        """The same key, among rows where it is not null."""
        return SortKey(self.column, may_be_null=False)


class Ordered(NamedTuple):
    """A key in the order of one statement, which may be the reverse of the list's.

    ``number`` is that of its value in a cursor.
    """

    number: int
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

    @property
    def value(self) -> ColumnElement[Any]:
        """The value of the cursor, which is bound when the statement runs."""
        return bindparam(f"_key{self.number}", type_=self.key.column.type)

    def beyond(self, is_null: bool) -> ColumnElement[bool] | None:
        """The predicate for rows behind the value of this key; None if there are none."""
        column, value = self.key.column, self.value
        if is_null:
            return column.is_not(None) if self.nulls_first else None
        behind = column < value if self.descending else column > value
        nulls_follow = self.key.may_be_null and not self.nulls_first
        return or_(behind, column.is_(None)) if nulls_follow else behind

    def same(self, is_null: bool) -> ColumnElement[bool]:
        """The predicate for rows with the same value."""
        column = self.key.column
        return column.is_(None) if is_null else column == self.value


def regions(first: SortKey, nulls: Sequence[bool], *, backward: bool) -> Sequence[Region]:
    """The parts of a list that a page reads one after the other, from a position on.

    Where the first key may be null, one statement reads the rows with a value and another one
    those without: an index leads to the position in each, which no single statement allows.
    """
    if not first.may_be_null:
        return ("whole",)
    order: tuple[Region, ...] = ("nulls", "values") if backward else ("values", "nulls")
    if not nulls:
        return order
    return order[order.index("nulls" if nulls[0] else "values") :]


def within(order: Sequence[Ordered], region: Region) -> tuple[Sequence[Ordered], Predicates]:
    """The order inside a region, and the predicates for its rows."""
    first = order[0]
    if region == "values":
        return [first._replace(key=first.key.known), *order[1:]], [first.key.column.is_not(None)]
    if region == "nulls":
        return order[1:], [first.key.column.is_(None)]
    return order, []


def behind(order: Sequence[Ordered], nulls: Sequence[bool]) -> ColumnElement[bool]:
    """The rows behind a position, whose values are bound as ``_key0``, ``_key1``…

    ``nulls`` tells by number which of these values are null; those are not bound.
    """
    directions = {each.descending for each in order}
    if len(directions) == 1 and not any(each.key.may_be_null for each in order):
        compare = operator.lt if directions.pop() else operator.gt
        columns, values = (each.key.column for each in order), (each.value for each in order)
        all_behind: ColumnElement[bool] = compare(tuple_(*columns), tuple_(*values))
        return all_behind
    equal: list[ColumnElement[bool]] = []
    alternatives: list[ColumnElement[bool]] = []
    for each in order:
        is_null = nulls[each.number]
        beyond = each.beyond(is_null)
        if beyond is not None:
            alternatives.append(and_(*equal, beyond))
        equal.append(each.same(is_null))
    first = order[0]
    if first.key.may_be_null:
        return or_(*alternatives)
    column, value = first.key.column, first.value
    within_reach = column <= value if first.descending else column >= value
    return and_(within_reach, or_(*alternatives))


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
