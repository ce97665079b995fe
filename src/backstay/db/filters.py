"""The filters of lists in SQL: what a condition compares, and the values that it binds."""

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from sqlalchemy import BindParameter, ColumnElement, DateTime, String, bindparam, false, or_

from backstay.core.errors import FieldError, Invalid
from backstay.core.listing import Equals
from backstay.db.base import UtcDateTime, fits
from backstay.db.fixed_point import FixedPoint
from backstay.db.folding import contains, fold

_OPERATORS: dict[str, Callable[[ColumnElement[Any], BindParameter[Any]], ColumnElement[bool]]] = {
    "eq": operator.eq,
    "gte": operator.ge,
    "lte": operator.le,
    "gt": operator.gt,
    "lt": operator.lt,
    "in_": lambda column, values: column.in_(values),
    "contains": contains,
    "is_null": lambda column, _: column.is_(None),
    "is_not_null": lambda column, _: column.is_not(None),
}


class Condition(NamedTuple):
    """What decides the text of a predicate; ``days`` is how many are bound one by one."""

    name: str
    operation: str
    days: int = 1


class Filter:
    """A filter of a list, on one column."""

    def __init__(self, name: str, column: ColumnElement[Any]) -> None:
        self.name, self.column = name, column

    def asked(self, operation: str, value: Any) -> tuple[Condition, dict[str, Any]]:
        """The condition that a request asks for, and its parameters by name.

        Raises:
            Invalid: a value does not fit the column.
        """
        if operation == "isnull":
            return Condition(self.name, "is_null" if value else "is_not_null"), {}
        values = value if isinstance(value, tuple) else (value,)
        if not all(fits(each, self.column.type) for each in values):
            raise Invalid(errors=(self._misfit(operation, values[0]),))
        bound = fold(value) if operation == "contains" else value
        return Condition(self.name, operation), {f"{self.name}__{operation}": bound}

    def predicate(self, condition: Condition) -> ColumnElement[bool]:
        """The SQL of a condition; its values are bound when it runs."""
        value = bindparam(
            f"{self.name}__{condition.operation}",
            type_=String() if condition.operation == "contains" else self.column.type,
            expanding=condition.operation == "in_",
        )
        return _OPERATORS[condition.operation](self.column, value)

    def _misfit(self, operation: str, value: Any) -> FieldError:
        needs, column_type = "no value can be like this", self.column.type
        if isinstance(value, datetime):
            needs = "a time needs its zone, such as 2020-01-01T00:00:00Z"
        if isinstance(column_type, FixedPoint):
            needs = f"a number here has at most {column_type.places} decimal places"
        field = self.name if operation == "eq" else f"{self.name}__{operation.strip('_')}"
        return FieldError(field, "out_of_range", needs)


class Days(Filter):
    """Dates on a column with moments: each means the whole day in UTC.

    The column is compared with the first and the last microsecond of a day, so that an index on it
    is used. Neither database holds anything finer.
    """

    def asked(self, operation: str, value: Any) -> tuple[Condition, dict[str, Any]]:
        if operation == "isnull":
            return super().asked(operation, value)
        if operation in {"eq", "in_"}:
            days = tuple(dict.fromkeys((value,) if operation == "eq" else value))
            names = self._names(Condition(self.name, operation, len(days)))
            moments = ((_first(day), _last(day)) for day in days)
            bound = {
                name: moment
                for pair, edges in zip(names, moments, strict=True)
                for name, moment in zip(pair, edges, strict=True)
            }
            return Condition(self.name, operation, len(days)), bound
        return super().asked(operation, (_last if operation in {"gt", "lte"} else _first)(value))

    def predicate(self, condition: Condition) -> ColumnElement[bool]:
        if condition.operation not in {"eq", "in_"}:
            return super().predicate(condition)
        days = [
            self.column.between(
                bindparam(first, type_=self.column.type), bindparam(last, type_=self.column.type)
            )
            for first, last in self._names(condition)
        ]
        return or_(*days) if days else false()

    def _names(self, condition: Condition) -> Sequence[tuple[str, str]]:
        """By day, the parameters with its first and its last moment."""
        start = f"{self.name}__{condition.operation}"
        return [(f"{start}_{n}_first", f"{start}_{n}_last") for n in range(condition.days)]


def filter_of(name: str, kind: type[Equals[Any]], column: ColumnElement[Any]) -> Filter:
    """The filter of a field on a column."""
    days = operand_of(kind) is date and is_moment(column)
    return Days(name, column) if days else Filter(name, column)


def is_moment(column: ColumnElement[Any]) -> bool:
    """Whether a column holds moments with a time zone."""
    kind = column.type
    return isinstance(kind, UtcDateTime) or (isinstance(kind, DateTime) and kind.timezone)


def operand_of(kind: type[Equals[Any]]) -> type[Any] | None:
    """The Python type that a filter compares with; None if it is no single class."""
    options = [o for o in get_args(kind.model_fields["eq"].annotation) if o is not type(None)]
    if len(options) != 1:
        return None
    operand = options[0]
    while get_origin(operand) is Annotated:
        operand = get_args(operand)[0]
    if get_origin(operand) is Literal:
        operand = type(get_args(operand)[0])
    return operand if isinstance(operand, type) else None


def _first(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _last(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)
