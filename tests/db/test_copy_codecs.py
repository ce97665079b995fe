"""Shows that values become PostgreSQL's bytes and come back, and which cannot."""

import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from backstay.db.copying.codecs import Codec, Column, PlainCodec, Splitter
from backstay.db.copying.decimals import numeric_bytes, numeric_of
from backstay.db.copying.digest import Digest
from backstay.db.copying.wire import Kind, Unfit, kind_of

FINITE = some.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
ROWS = some.lists(some.tuples(some.uuids(), some.none() | some.text(), some.integers(0, 9)))


def kind(name: str, modifier: int = -1) -> Kind:
    found = kind_of(name, modifier)
    assert found is not None
    return found


CODEC = Codec(
    tuple(
        Column(name, kind_name, kind(kind_name), is_key=name == "id")
        for name, kind_name in (("id", "uuid"), ("name", "text"), ("number", "int4"))
    )
)


@given(FINITE)
def test_decimal_numbers_come_back(number: Decimal) -> None:
    assert numeric_of(numeric_bytes(number)) == number


@given(ROWS, some.integers(1, 40))
def test_a_stream_is_cut_into_its_rows_wherever_it_breaks(
    rows: list[tuple[Any, Any, int]], size: int
) -> None:
    rows = [(key.hex, text and text.replace("\0", ""), number) for key, text, number in rows]
    encoded = CODEC.encode(rows) if rows else []
    assert CODEC.decode(encoded) == rows if rows else True
    stream = b"".join([b"PGCOPY\n\xff\r\n\0", bytes(8), *encoded, b"\xff\xff"])
    splitter = Splitter()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [row for part in parts for row in splitter.rows(part)] == encoded


@given(some.lists(some.integers(0, 3).map(lambda n: b"row %d" % n)))
def test_a_digest_depends_on_rows_and_not_on_their_order(rows: list[bytes]) -> None:
    one, other, more = Digest(), Digest(), Digest()
    one.add(rows)
    for row in reversed(rows):
        other.add([row])
    more.add([*rows, b"row 0"])
    assert one == other != more
    assert len(str(one)) == 32


def test_a_plain_codec_keeps_whatever_stands_in_a_row() -> None:
    rows = [(1, "a", b"a", None, math.inf, 0.1 + 0.2, 2**63 - 1), (1, "a", "a", "a", 1.0, 1, -1)]
    codec = PlainCodec((Column("id", is_key=True), *(Column(name) for name in "abcdef")))
    encoded = codec.encode(rows)
    assert codec.decode(encoded) == rows
    assert codec.encode([tuple(row) for row in codec.decode(encoded)]) == encoded
    assert codec.key(encoded[0]) == "id 1"


UNFIT = [
    ("float8", struct.pack("!d", math.nan), "is NaN"),
    ("timestamptz", struct.pack("!q", 2**60), "is none that Python has"),
    ("date", struct.pack("!i", -730_119), "is none that Python has"),
    ("time", struct.pack("!q", 86_400_000_000), "is 24:00"),
    ("interval", struct.pack("!qii", 0, 0, 1), "counts months"),
    ("numeric", numeric_bytes(Decimal("NaN")), "SQLite cannot hold exactly"),
    ("numeric", numeric_bytes(Decimal("12345678901234567.89")), "SQLite cannot hold exactly"),
    ("json", b"1.50", "a form that SQLite does not keep"),
]


@pytest.mark.parametrize(("name", "raw", "reason"), UNFIT)
def test_what_sqlite_lacks_is_refused(name: str, raw: bytes, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        kind(name).decode(raw)


SAME = [
    ("jsonb", b'\1{"a": 1.50, "b": []}', b'\1{"b": [], "a": 1.5}'),
    ("numeric", numeric_bytes(Decimal("1.50")), numeric_bytes(Decimal("1.5"))),
    ("interval", struct.pack("!qii", 0, 1, 0), struct.pack("!qii", 86_400_000_000, 0, 0)),
]


@pytest.mark.parametrize(("name", "one", "other"), SAME)
def test_two_forms_of_one_value_are_the_same(name: str, one: bytes, other: bytes) -> None:
    normal = kind(name).normal
    assert normal is not None
    assert normal(one) == normal(other)


def test_a_decimal_is_rounded_as_the_application_reads_it() -> None:
    price = kind("numeric", (10 << 16 | 2) + 4)
    assert numeric_of(price.encode(0.1 + 0.2)) == Decimal("0.3")
    assert price.encode(5) == price.encode(5.0) == numeric_bytes(Decimal("5.00"))
    assert price.normal is None


def test_types_that_sqlite_lacks_have_no_kind() -> None:
    assert kind_of("inet", -1) is None
    assert kind_of("_text", -1) is None
    assert kind_of("mood", -1, is_enum=True) is not None
