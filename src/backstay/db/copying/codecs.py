"""Rows as bytes: the same bytes for the same row, whichever database it was read from."""

import marshal
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any

from backstay.db.copying.wire import ENDS, EPOCH, MICROSECOND, Kind, Unfit

NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct("!i")
_LIMIT = 5
Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is copied; ``kind`` is None where its values are taken as they are."""

    name: str
    type: str = ""
    kind: Kind | None = None
    limit: int | None = None
    is_key: bool = False


class Unfitting(Exception):
    """Rows that the other database cannot hold, with the reason of each."""


@dataclass(frozen=True)
class Codec:
    """Turns rows of SQLite into those of PostgreSQL's binary COPY, and back."""

    columns: tuple[Column, ...]
    is_mixed: bool = True
    """Whether the two databases are of two kinds: then two forms of one value are made one."""
    _fast: list[Callable[[Values], list[bytes]]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fast", [_encoder(column) for column in self.columns])

    def encode(self, rows: Sequence[Values]) -> list[bytes]:
        """The rows as bytes.

        Raises:
            Unfitting: PostgreSQL cannot hold some of them.
        """
        head = struct.pack("!h", len(self.columns))
        try:
            values = zip(*rows, strict=True)
            parts = [encode(each) for encode, each in zip(self._fast, values, strict=True)]
        except ValueError:
            raise self._unfitting(rows, lambda kind, value: kind.encode(value)) from None
        return list(map(b"".join, zip(repeat(head), *parts)))

    def decode(self, rows: Sequence[bytes]) -> list[Values]:
        """The rows as values of SQLite.

        Raises:
            Unfitting: SQLite cannot hold some of them.
        """
        split = [fields_of(row) for row in rows]
        parts = zip(*split, strict=True)
        try:
            values = [
                [None if raw is None else decode(raw) for raw in column]
                for decode, column in zip(self._decoders, parts, strict=True)
            ]
        except ValueError:
            raise self._unfitting(split, lambda kind, raw: kind.decode(raw)) from None
        return list(zip(*values, strict=True))

    def normal(self, rows: list[bytes]) -> list[bytes]:
        """The rows in the form in which they are compared."""
        ways = [column.kind.normal if column.kind else None for column in self.columns]
        if not self.is_mixed or not any(ways):
            return rows
        return [
            repr(
                [
                    raw if raw is None or way is None else way(raw)
                    for way, raw in zip(ways, fields_of(row), strict=True)
                ]
            ).encode()
            for row in rows
        ]

    def key(self, row: bytes) -> str:
        """The primary key of a row, for people."""
        values = [
            None if raw is None else _shown(column, raw)
            for column, raw in zip(self.columns, fields_of(row), strict=True)
        ]
        return named(self.columns, values)

    @property
    def _decoders(self) -> list[Callable[[bytes], Any]]:
        return [column.kind.decode if column.kind else bytes for column in self.columns]

    def _unfitting(self, rows: Sequence[Values], turn: Callable[[Kind, Any], Any]) -> Unfitting:
        return Unfitting("; ".join(self._reasons(rows, turn)))

    def _reasons(self, rows: Sequence[Values], turn: Callable[[Kind, Any], Any]) -> Iterator[str]:
        found = 0
        for row in rows:
            for column, value in zip(self.columns, row, strict=True):
                try:
                    if column.kind and value is not None:
                        turn(column.kind, value)
                except Unfit as error:
                    yield f"{named(self.columns, row)}: {column.name} {error}"
                    found += 1
            if found >= _LIMIT:
                yield "perhaps more"
                return


@dataclass(frozen=True)
class PlainCodec:
    """Rows of SQLite for another SQLite, with whatever stands in them."""

    columns: tuple[Column, ...]

    def encode(self, rows: Sequence[Values]) -> list[bytes]:
        """The rows as bytes; of marshal's versions only the first writes equal values equally."""
        return [marshal.dumps(tuple(row), 0) for row in rows]

    def decode(self, rows: Sequence[bytes]) -> list[Values]:
        """The rows as values."""
        return [marshal.loads(row) for row in rows]  # noqa: S302 - `encode` made them

    def normal(self, rows: list[bytes]) -> list[bytes]:
        """The rows in the form in which they are compared: as they are."""
        return rows

    def key(self, row: bytes) -> str:
        """The primary key of a row, for people."""
        return named(self.columns, self.decode([row])[0])


AnyCodec = Codec | PlainCodec


def named(columns: Sequence[Column], row: Values) -> str:
    """The primary key of a row, else its first value, for people."""
    keys = [(c.name, v) for c, v in zip(columns, row, strict=True) if c.is_key]
    shown = keys or [(columns[0].name, row[0])]
    return ", ".join(
        f"{name} {value.hex() if isinstance(value, bytes) else value}" for name, value in shown
    )


def _shown(column: Column, raw: bytes) -> Any:
    try:
        return column.kind.decode(raw) if column.kind else raw
    except ValueError:
        return raw


def fields_of(row: bytes) -> list[bytes | None]:
    """The values of a row in PostgreSQL's binary COPY; None is NULL."""
    found: list[bytes | None] = []
    at, end, read = 2, len(row), _LENGTH.unpack_from
    while at < end:
        (length,) = read(row, at)
        at += 4
        if length < 0:
            found.append(None)
        else:
            found.append(row[at : at + length])
            at += length
    return found


class Splitter:
    """Cuts the stream of a binary COPY into its rows."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_begun = False

    def rows(self, chunk: bytes) -> list[bytes]:
        """The rows that are complete with this part of the stream."""
        data = self._rest + chunk
        at, size, found = 0, len(data), []
        if not self._is_begun:
            if size < 19:
                self._rest = data
                return []
            self._is_begun, at = True, 19  # signature, flags, no extension
        read, count_of = _LENGTH.unpack_from, struct.Struct("!h").unpack_from
        try:
            while at < size:
                (count,) = count_of(data, at)
                if count < 0:
                    at = size
                    break
                end = at + 2
                for _ in range(count):
                    (length,) = read(data, end)
                    end += 4 + (length if length > 0 else 0)
                if end > size:
                    break
                found.append(data[at:end])
                at = end
        except struct.error:  # the rest of this row comes with the next part
            pass
        self._rest = data[at:]
        return found


def _encoder(column: Column) -> Callable[[Values], list[bytes]]:
    """How a whole column is encoded: without a call per value for the types that most have."""
    kind = column.kind
    if kind is None:
        return lambda values: [NULL if v is None else _sized(v) for v in values]
    fast = _FAST.get(column.type)

    def encode(values: Values) -> list[bytes]:
        if fast is not None:
            try:
                return fast(values, column.limit)
            except (ValueError, TypeError, AttributeError, struct.error):
                pass  # some value is odd: each by itself then, which says what is wrong with it
        return [NULL if value is None else _sized(kind.encode(value)) for value in values]

    return encode


def _sized(raw: bytes) -> bytes:
    return _LENGTH.pack(len(raw)) + raw


def _uuids(values: Values, _: int | None) -> list[bytes]:
    of, length = bytes.fromhex, _LENGTH.pack(16)
    found = [NULL if value is None else length + of(value) for value in values]
    if set(map(len, found)) - {4, 20}:
        raise ValueError
    return found


def _texts(values: Values, limit: int | None) -> list[bytes]:
    told = [value for value in values if value is not None]
    if "\0" in "".join(told) or (limit is not None and max(map(len, told), default=0) > limit):
        raise ValueError
    pack = _LENGTH.pack
    return [NULL if value is None else pack(len(raw := value.encode())) + raw for value in values]


def _moments(values: Values, _: int | None) -> list[bytes]:
    if any(end in values for end in ENDS):
        raise ValueError
    pack, of = struct.Struct("!iq").pack, datetime.fromisoformat
    return [
        NULL if value is None else pack(8, (of(value) - EPOCH) // MICROSECOND) for value in values
    ]


def _blobs(values: Values, _: int | None) -> list[bytes]:
    pack, joined = _LENGTH.pack, b"".join
    return [NULL if value is None else joined((pack(len(value)), value)) for value in values]


def _numbers(form: str) -> Callable[[Values, int | None], list[bytes]]:
    layout = struct.Struct(form)
    size = layout.size - 4

    def encode(values: Values, _: int | None) -> list[bytes]:
        pack = layout.pack
        return [NULL if value is None else pack(size, value) for value in values]

    return encode


def _booleans(values: Values, _: int | None) -> list[bytes]:
    forms = {None: NULL, 0: _sized(b"\0"), 1: _sized(b"\1")}
    try:
        return [forms[value] for value in values]
    except KeyError:
        raise ValueError from None


_FAST: dict[str, Callable[[Values, int | None], list[bytes]]] = {
    "bool": _booleans,
    "bytea": _blobs,
    "int2": _numbers("!ih"),
    "int4": _numbers("!ii"),
    "int8": _numbers("!iq"),
    "text": _texts,
    "timestamp": _moments,
    "timestamptz": _moments,
    "uuid": _uuids,
    "varchar": _texts,
}
