"""The bytes of one value in PostgreSQL's binary COPY, made from SQLite's values and turned back.

A value in SQLite has the form in which SQLAlchemy stores it there. Lengths are those of the
column's declaration in PostgreSQL, which SQLite does not enforce.
"""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from uuid import UUID

from backstay.db.copying.decimals import numeric_bytes, numeric_of

EPOCH = datetime(2000, 1, 1)
UNIX_EPOCH = datetime(1970, 1, 1)
_INT2, _INT4, _INT8 = struct.Struct("!h"), struct.Struct("!i"), struct.Struct("!q")
_FLOAT4, _FLOAT8 = struct.Struct("!f"), struct.Struct("!d")
_ENDS_OF_DAYS = {date.min: _INT4.pack(-(2**31)), date.max: _INT4.pack(2**31 - 1)}
_ENDS_OF_TIME = {datetime.min: _INT8.pack(-(2**63)), datetime.max: _INT8.pack(2**63 - 1)}
"""What asyncpg makes of the first and the last: ``-infinity`` and ``infinity``."""
_DAYS = {raw: day.isoformat() for day, raw in _ENDS_OF_DAYS.items()}
_TIMES = {raw: moment.isoformat(" ", "microseconds") for moment, raw in _ENDS_OF_TIME.items()}
ENDS = tuple(_TIMES.values())
"""The first and the last time in SQLite."""
_NO_TIME = "is none that Python has, between the years 1 and 9999"
MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


class Unfit(ValueError):
    """A value that the other database cannot hold; the text says why, after "it"."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one type become bytes and values again.

    ``normal`` turns two forms of the same value into one: it is compared, not stored.
    """

    encode: Encode
    decode: Decode
    normal: Decode | None = None


def text_bytes(value: Any, limit: int | None = None) -> bytes:
    """A text, which PostgreSQL refuses with a NUL, or longer than ``limit`` characters."""
    if not isinstance(value, str):
        raise Unfit(f"is {_storage(value)}, not a text")
    if "\0" in value:
        raise Unfit("has a NUL character, which PostgreSQL does not store")
    if limit is not None and len(value) > limit:
        raise Unfit(f"has {len(value)} characters, and the column holds {limit}")
    return value.encode()


def _padded(value: Any, limit: int) -> bytes:
    return text_bytes(value.rstrip(" ") if isinstance(value, str) else value, limit).ljust(limit)


def _integer(value: Any, layout: struct.Struct) -> bytes:
    if not isinstance(value, int):
        raise Unfit(f"is {_storage(value)}, not a whole number")
    try:
        return layout.pack(value)
    except struct.error:
        raise Unfit("is out of the range of the column") from None


def _boolean(value: Any) -> bytes:
    if value not in {0, 1}:
        raise Unfit(f"is {_storage(value)}, neither 0 nor 1")
    return b"\1" if value else b"\0"


def _truth(raw: bytes) -> int:
    return raw[0]


def _float(value: Any, layout: struct.Struct) -> bytes:
    if not isinstance(value, int | float):
        raise Unfit(f"is {_storage(value)}, not a number")
    try:
        return layout.pack(value)
    except OverflowError:
        raise Unfit("is out of the range of the column") from None


def _number(raw: bytes, layout: struct.Struct) -> float:
    value: float = layout.unpack(raw)[0]
    if value != value:  # noqa: PLR0124 - that is what NaN is
        raise Unfit("is NaN, which SQLite does not store")
    return value


def _uuid(value: Any) -> bytes:
    try:
        return UUID(value).bytes
    except (ValueError, AttributeError, TypeError):
        raise Unfit(f"is {_storage(value)}, not a UUID") from None


def _blob(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Unfit(f"is {_storage(value)}, not bytes")
    return value


def _moment(value: Any) -> bytes:
    moment = _read(datetime, value, "a time")
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return _ENDS_OF_TIME.get(moment) or _INT8.pack((moment - EPOCH) // MICROSECOND)


def _moment_text(raw: bytes) -> str:
    if (end := _TIMES.get(raw)) is not None:
        return end
    with suppress(OverflowError):
        moment = EPOCH + timedelta(microseconds=_INT8.unpack(raw)[0])
        if moment not in _ENDS_OF_TIME:
            return moment.isoformat(" ", "microseconds")
    raise Unfit(_NO_TIME)


def _day(value: Any) -> bytes:
    day = _read(date, value, "a date")
    return _ENDS_OF_DAYS.get(day) or _INT4.pack((day - EPOCH.date()).days)


def _day_text(raw: bytes) -> str:
    if (end := _DAYS.get(raw)) is not None:
        return end
    with suppress(OverflowError):
        day = EPOCH.date() + timedelta(days=_INT4.unpack(raw)[0])
        if day not in _ENDS_OF_DAYS:
            return day.isoformat()
    raise Unfit(_NO_TIME)


def _clock(value: Any) -> bytes:
    told = _read(time, value, "a time of day")
    whole = timedelta(
        hours=told.hour, minutes=told.minute, seconds=told.second, microseconds=told.microsecond
    )
    return struct.pack("!q", whole // MICROSECOND)


def _clock_text(raw: bytes) -> str:
    moment = EPOCH + timedelta(microseconds=struct.unpack("!q", raw)[0])
    if moment.date() != EPOCH.date():
        raise Unfit("is 24:00, which SQLite does not store")
    return moment.time().isoformat("microseconds")


def _span(value: Any) -> bytes:
    span = _read(datetime, value, "an interval") - UNIX_EPOCH
    return struct.pack("!qii", (span.seconds * 10**6) + span.microseconds, span.days, 0)


def _span_text(raw: bytes) -> str:
    micros, days, months = struct.unpack("!qii", raw)
    if months:
        raise Unfit("counts months, which SQLite does not store")
    try:
        moment = UNIX_EPOCH + timedelta(days=days, microseconds=micros)
    except OverflowError:
        raise Unfit("is too long for SQLite") from None
    return moment.isoformat(" ", "microseconds")


def _span_normal(raw: bytes) -> bytes:
    micros, days, months = struct.unpack("!qii", raw)
    return repr((months, days * _DAY + micros)).encode()


def _read(kind: Any, value: Any, name: str) -> Any:
    try:
        return kind.fromisoformat(value)
    except (ValueError, TypeError):
        raise Unfit(f"is {_storage(value)}, not {name}") from None


def _decimal(value: Any, places: int | None = None) -> bytes:
    """A number as the application reads it from SQLite: rounded to the places of its column."""
    try:
        if isinstance(value, bytes):
            raise Unfit("is a blob, not a number")
        exact = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise Unfit(f"is {_storage(value)}, not a number") from None
    if places is not None and exact.is_finite():
        exact = Decimal(f"{exact:.{places}f}")
    return numeric_bytes(exact)


def _decimal_value(raw: bytes) -> int | float:
    exact = numeric_of(raw)
    if exact.is_finite():
        if exact == exact.to_integral_value() and abs(exact) < 2**63:
            return int(exact)
        if Decimal(repr(value := float(exact))) == exact:
            return value
    raise Unfit("is a number that SQLite cannot hold exactly")


def _decimal_normal(raw: bytes) -> bytes:
    exact = numeric_of(raw)
    return numeric_bytes(Decimal(f"{exact.normalize():f}") if exact.is_finite() else exact)


def _json(value: Any, start: bytes = b"") -> bytes:
    """A document; the numeric affinity of SQLite's columns makes numbers of numbers alone."""
    return start + text_bytes(str(value) if isinstance(value, int | float) else value)


def _document(raw: bytes) -> str:
    """The text of a document, unless it is a number alone that SQLite would write otherwise."""
    text = raw.decode()
    if (start := text.strip())[:1] in set("-0123456789"):
        number = float(start) if set(".eE") & set(start) or abs(int(start)) >= 2**63 else int(start)
        if repr(number) != text:
            raise Unfit("is a number alone in a form that SQLite does not keep")
    return text


def _jsonb_normal(raw: bytes) -> bytes:
    return json.dumps(json.loads(raw[1:]), sort_keys=True).encode()


def _of_integer(layout: struct.Struct) -> Kind:
    return Kind(partial(_integer, layout=layout), lambda raw: layout.unpack(raw)[0])


def _of_float(layout: struct.Struct) -> Kind:
    return Kind(partial(_float, layout=layout), partial(_number, layout=layout))


_TEXT, _MOMENT = Kind(text_bytes, bytes.decode), Kind(_moment, _moment_text)
_KINDS = {
    "bool": Kind(_boolean, _truth),
    "bytea": Kind(_blob, bytes),
    "date": Kind(_day, _day_text),
    "float4": _of_float(_FLOAT4),
    "float8": _of_float(_FLOAT8),
    "int2": _of_integer(_INT2),
    "int4": _of_integer(_INT4),
    "int8": _of_integer(_INT8),
    "interval": Kind(_span, _span_text, _span_normal),
    "json": Kind(_json, _document),
    "jsonb": Kind(partial(_json, start=b"\1"), lambda raw: raw[1:].decode(), _jsonb_normal),
    "name": _TEXT,
    "text": _TEXT,
    "time": Kind(_clock, _clock_text),
    "timestamp": _MOMENT,
    "timestamptz": _MOMENT,
    "uuid": Kind(_uuid, bytes.hex),
    "varchar": _TEXT,
}


def kind_of(name: str, modifier: int, *, is_enum: bool = False) -> Kind | None:
    """The kind of a type of PostgreSQL with its type modifier; None for one that SQLite lacks."""
    if is_enum:
        return _TEXT
    if name == "numeric":
        places = ((modifier - 4) & 0x7FF ^ 0x400) - 0x400 if modifier >= 4 else None
        if places is not None and places < 0:
            places = None
        normal = _decimal_normal if places is None else None
        return Kind(partial(_decimal, places=places), _decimal_value, normal)
    if modifier >= 4 and name == "varchar":
        return Kind(partial(text_bytes, limit=modifier - 4), bytes.decode)
    if modifier >= 4 and name == "bpchar":
        return Kind(partial(_padded, limit=modifier - 4), lambda raw: raw.decode().rstrip(" "))
    return _KINDS.get(name)


def _storage(value: Any) -> str:
    names: dict[type, str] = {str: "a text", bytes: "a blob", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
