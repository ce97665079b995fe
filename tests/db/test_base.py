"""Shows which values can be compared with a column on both databases."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, SmallInteger, String, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.types import TypeEngine

from backstay.core.clock import new_id
from backstay.db.base import UtcDateTime, fits
from backstay.db.plain import PlainStatement
from tests.db.tables import Book


@pytest.mark.parametrize(
    ("value", "column_type", "is_comparable"),
    [
        (2**15 - 1, SmallInteger(), True),
        (2**15, SmallInteger(), False),
        (-(2**31), Integer(), True),
        (2**31, Integer(), False),
        (2**63 - 1, BigInteger(), True),
        (2**63, BigInteger(), False),
        ("a\0b", String(), False),
        (datetime(2026, 1, 1, tzinfo=UTC), String(), True),
        (datetime(2026, 1, 1), String(), False),
        (None, Boolean(), True),
    ],
)
def test_a_value_outside_its_column_type_is_recognised(
    value: Any, column_type: TypeEngine[Any], is_comparable: bool
) -> None:
    assert fits(value, column_type) is is_comparable


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-30 13:41:49.123456", datetime(2026, 11, 30, 13, 41, 49, 123456, UTC)),
        ("2026-11-30 13:41:49", datetime(2026, 11, 30, 13, 41, 49, tzinfo=UTC)),
        ("2026-11-30T13:41:49Z", datetime(2026, 11, 30, 13, 41, 49, tzinfo=UTC)),
        ("2026-11-30 15:41:49+02:00", datetime(2026, 11, 30, 13, 41, 49, tzinfo=UTC)),
        ("2026-11-30", datetime(2026, 11, 30, tzinfo=UTC)),
        (None, None),
    ],
)
def test_moments_of_sqlite_are_read_in_utc(text: str | None, moment: datetime | None) -> None:
    """Those of other programs, too, which may write a day or a zone."""
    read = UtcDateTime().result_processor(sqlite.dialect(), None)
    found = read(text)
    assert found == moment
    assert found is None or found.tzinfo is UTC


def test_ids_are_read_however_they_are_written() -> None:
    plain = PlainStatement.of(select(Book.id), aiosqlite.dialect(), None)
    assert plain is not None
    found = new_id()
    rows = plain.rows([(text,) for text in (found.hex, str(found), f"{{{found}}}", None)])
    assert [id_ for (id_,) in rows] == [found, found, found, None]
    assert [type(id_) for (id_,) in rows] == [UUID, UUID, UUID, type(None)]
    assert {(hash(id_), str(id_), id_.is_safe) for (id_,) in rows[:3]} == {
        (hash(found), str(found), found.is_safe)
    }
    with pytest.raises(ValueError, match="badly formed"):
        plain.rows([("not an id",)])
