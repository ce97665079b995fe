"""Values of the types of fields: defaults, samples for tests, and values that are none."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from backstay.blueprints.entities.description import Field, Kind
from backstay.blueprints.words import listed

_FRACTION = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,18})?")
_LONGEST = 60
"""Characters of a default, which stands in one line."""
PLACES = 4
"""Behind the point of a ``decimal`` that names no other number."""
LENGTH = 200
"""Of a ``str`` that names no other."""


def default_of(field: Field, told: Any) -> Any:
    """The default of a field, as JSON has it, from its text or from JSON.

    Raises:
        ValueError: it is no value of the type.
    """
    if field.unique:
        raise ValueError("a unique field cannot have a default, which only one row could have")
    text = str(told).lower() if isinstance(told, bool) else str(told)
    match field.kind:
        case Kind.STR | Kind.TEXT:
            return _text(field, text)
        case Kind.ENUM if text in field.members:
            return text
        case Kind.BOOL if text in {"true", "false"}:
            return text == "true"
        case Kind.INT if re.fullmatch(r"-?[0-9]{1,10}", text) and -(2**31) <= int(text) < 2**31:
            return int(text)
        case Kind.FLOAT if _FRACTION.fullmatch(text):
            return float(text)
        case Kind.MONEY | Kind.DECIMAL if _fits(field, text):
            return text
        case Kind.ENUM:
            raise ValueError(f"the default is one of {listed(field.members, 'or')}, not {text!r}")
        case Kind.BOOL | Kind.INT | Kind.FLOAT | Kind.MONEY | Kind.DECIMAL:
            raise ValueError(f"{text!r} is no {field.kind}")
    raise ValueError(
        f"{field.kind} takes no default: leave it out with ? where a row may have none"
    )


def _text(field: Field, text: str) -> str:
    most = min(field.size or LENGTH, _LONGEST) if field.kind is Kind.STR else _LONGEST
    if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
        raise ValueError(f"the default has 1 to {most} printable characters, and no space around")
    return text


def places(field: Field) -> int:
    """The digits behind the point of a field with decimals."""
    if field.kind is Kind.MONEY:
        return 2
    return PLACES if field.size is None else field.size


def _fits(field: Field, text: str) -> bool:
    if not _FRACTION.fullmatch(text):
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    behind = -int(number.as_tuple().exponent)
    return behind <= places(field) and number.adjusted() < 18 - places(field)


@dataclass(frozen=True)
class Samples:
    """Texts of Python for values in JSON: one that is right, and some that are refused."""

    first: str
    wrong: tuple[str, ...]


def samples(field: Field) -> Samples:
    """What tests send for a field that refers to no other row."""
    if field.kind is Kind.ENUM:
        return Samples(f'"{field.members[0]}"', ('"x_"', "5"))
    if field.kind is Kind.STR:
        size = field.size or LENGTH
        return Samples(f'"{"Aster"[:size]}"', ('""', f'"x" * {size + 1}', "5"))
    if field.kind in {Kind.MONEY, Kind.DECIMAL}:
        zeros = "0" * places(field)
        first = f'"1{"." if zeros else ""}{zeros}"'
        return Samples(first, ('"x"', f'"0.{zeros}1"', '"NaN"'))
    return _SAMPLES[field.kind]


_SAMPLES = {
    Kind.TEXT: Samples('"Aster"', ('"x" * 10_001', "5")),
    Kind.INT: Samples("1", ('"x"', "2**31")),
    Kind.FLOAT: Samples("1.5", ('"x"', '"NaN"')),
    Kind.BOOL: Samples("False", ('"x"', "5")),
    Kind.DATETIME: Samples('"2026-01-02T03:04:05Z"', ('"x"', '"2026-01-02T03:04:05"')),
    Kind.DATE: Samples('"2026-01-02"', ('"x"', '"2026-02-30"')),
    Kind.UUID: Samples('"01980000-0000-7000-8000-000000000001"', ('"x"',)),
    Kind.JSON: Samples('{"a": 1}', ('"x"', "[]")),
}
