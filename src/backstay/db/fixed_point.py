"""Decimal numbers that are exact on both databases, in columns, messages and views."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from sqlalchemy import BigInteger, Dialect, Integer
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

_MOST_DIGITS = 18
"""So many digits always fit into a column of 64 bits."""
_KEEPING = {operators.mul}
_REFUSED = {operators.truediv, operators.floordiv, operators.mod}
_OF_ONE_UNIT = {
    *(operators.add, operators.sub, operators.eq, operators.ne),
    *(operators.lt, operators.le, operators.gt, operators.ge),
}


class FixedPoint(TypeDecorator[Decimal]):
    """A decimal number of at most ``digits``, ``places`` of them behind the point.

    ``Weight = Annotated[Decimal, FixedPoint(digits=9, places=3)]`` is a type for columns
    (``Mapped[Weight]``), for fields of messages and views, and for filters (``Range[Weight]``).
    In JSON it is a text such as ``"19.90"``; a request may also send a whole number, but no number
    with a fraction, which JSON readers round. More places are refused, never rounded.

    The column holds a whole number of the smallest unit (``19.90`` is 1990), on both databases, as
    SQLite has no exact decimals. ``sum``, ``min``, ``max``, ``+``, ``-``, comparisons and ``*`` by
    a whole number are exact in SQL; the amount comes first (``Line.price * Line.quantity``). Other
    functions, such as ``avg``, casts and SQL written as text see the whole number.

    Raises:
        ValueError: a type with over 18 digits or too many places; a value that does not fit.
        TypeError: a float as a value; an operation in SQL that would give another unit.
    """

    impl = BigInteger
    cache_ok = True

    def __init__(self, digits: int = _MOST_DIGITS, places: int = 2) -> None:
        if not 1 <= digits <= _MOST_DIGITS or not 0 <= places <= digits:
            raise ValueError(
                f"FixedPoint(digits={digits}, places={places}): a column holds 1 to {_MOST_DIGITS} "
                "digits, and at most all of them behind the point."
            )
        super().__init__()
        self.digits, self.places = digits, places

    def __repr__(self) -> str:
        return f"FixedPoint(digits={self.digits}, places={self.places})"

    @property
    def python_type(self) -> type[Decimal]:
        return Decimal

    def holds(self, value: Decimal | int) -> bool:
        """Whether the column can hold this number exactly."""
        value = Decimal(value)
        if not value.is_finite() or value.adjusted() >= self.digits - self.places:
            return not value and value.is_finite()
        parts = value.as_tuple()
        exponent, digits = int(parts.exponent), parts.digits
        beyond = -exponent - self.places
        return beyond <= 0 or not any(digits[-beyond:])

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
            raise TypeError(f"{self!r} stores a Decimal or an int, no {type(value).__name__}")
        if not self.holds(value):
            raise ValueError(f"{value} does not fit into {self!r}: round it, or widen the column")
        return int(Decimal(value).scaleb(self.places))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-self.places)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        return Integer() if op in _KEEPING else self

    class comparator_factory(TypeDecorator.Comparator[Decimal]):  # noqa: N801  SQLAlchemy's name
        """Refuses what would silently give a number of another unit."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            _require_unit(self.type, op, other)
            return super().operate(op, *other, **kwargs)

        def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> Any:
            _require_unit(self.type, op, (other,))
            return super().reverse_operate(op, other, **kwargs)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        bounded = core_schema.decimal_schema(
            allow_inf_nan=False, max_digits=self.digits, decimal_places=self.places
        )
        return core_schema.no_info_before_validator_function(
            self._read, core_schema.no_info_after_validator_function(self._settled, bounded)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": self._pattern, "examples": [self._example]}

    @property
    def _pattern(self) -> str:
        fraction = rf"(\.\d{{1,{self.places}}})?" if self.places else ""
        return rf"^-?\d{{1,{max(1, self.digits - self.places)}}}{fraction}$"

    @property
    def _example(self) -> str:
        return str(Decimal("19.9").quantize(Decimal(1).scaleb(-self.places)))

    def _read(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip()
            if re.fullmatch(r"-?\d{1,40}(\.\d{1,40})?", value, re.ASCII):
                return Decimal(value)
        elif isinstance(value, (Decimal, int)) and not isinstance(value, bool):
            return value
        raise PydanticCustomError(
            "decimal_text",
            'Input should be a decimal number as a text, such as "{expected}"',
            {"expected": self._example},
        )

    def _settled(self, value: Decimal) -> Decimal:
        """With all its places, so that 19.9 and 19.90 are one text; never minus zero."""
        return value.quantize(Decimal(1).scaleb(-self.places)) + 0


Money = Annotated[Decimal, FixedPoint(digits=_MOST_DIGITS, places=2)]
"""An amount with two decimal places, exact in columns, messages, views and filters.

``total: Mapped[Money]``, ``total: Money``, ``total: Range[Money]``; in JSON a text: ``"19.90"``.
For other places see :class:`FixedPoint`.
"""


def fixed_point_of(annotation: Any) -> FixedPoint | None:
    """The column type that an annotation such as ``Money`` names."""
    marks = getattr(annotation, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, FixedPoint)), None)


def _require_unit(mine: Any, op: Any, others: tuple[Any, ...]) -> None:
    if op in _REFUSED:
        raise TypeError(f"SQL cannot divide {mine!r} exactly: divide the sums in Python")
    for other in others:
        kind = getattr(other, "type", None)
        if op in _KEEPING and not _is_whole(other, kind):
            raise TypeError(f"SQL multiplies {mine!r} by whole numbers only: compute it in Python")
        if op in _OF_ONE_UNIT and isinstance(kind, FixedPoint) and kind.places != mine.places:
            raise TypeError(f"{mine!r} and {kind!r} count in different units: use one of them")


def _is_whole(other: Any, kind: Any) -> bool:
    if kind is None:
        return isinstance(other, int)
    return isinstance(kind, Integer)
