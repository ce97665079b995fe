"""Shows which values can be compared with a column on both databases."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Integer, SmallInteger, String
from sqlalchemy.types import TypeEngine

from backstay.db.base import fits


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
