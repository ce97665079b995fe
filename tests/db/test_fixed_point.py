"""Shows that decimal numbers are exact in columns, messages and views, and never rounded."""

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy import BigInteger, Column, MetaData, Numeric, Table, cast, func, insert, select
from sqlalchemy.sql.sqltypes import NullType

from backstay.core.messages import View
from backstay.db.base import fits
from backstay.db.database import Database
from backstay.db.fixed_point import FixedPoint, Money
from tests.db.sales import SaleLine
from tests.examples import examples

MOST = Decimal("9999999999999999.99")
TYPE = FixedPoint(digits=18, places=2)
amounts = st.decimals(-MOST, MOST, places=2)


class Priced(View):
    price: Money
    weight: Annotated[Decimal, FixedPoint(digits=5, places=3), Field(gt=0)] = Decimal(1)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ('"19.9"', "19.90"),
        ('" 19.90 "', "19.90"),
        ('"-0"', "0.00"),
        ('"007"', "7.00"),
        ("20", "20.00"),
        (f'"{MOST}"', str(MOST)),
        (f'"-{MOST}"', f"-{MOST}"),
    ],
)
def test_an_amount_is_a_text_in_json(given: str, read: str) -> None:
    priced = Priced.model_validate_json(f'{{"price": {given}}}')
    assert str(priced.price) == read
    assert f'"price":"{read}"' in priced.model_dump_json()


@pytest.mark.parametrize(
    "given",
    [
        *('"NaN"', '"Infinity"', '"-inf"', '"1e3"', '"1E+3"', '"0x1"', '"1_000"', '"1,5"', '"+1"'),
        *('""', '"."', '"1."', '".5"', '"\\u0661"', "19.9", "1e2", "true", "null", "[]", "{}"),
        *('"0.001"', '"10000000000000000"', "10000000000000000", f'"{"9" * 5000}"'),
    ],
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        Priced.model_validate_json(f'{{"price": {given}}}')


def test_other_places_and_bounds_can_be_declared() -> None:
    assert str(Priced(price=Decimal(1), weight=Decimal("1.5")).weight) == "1.500"
    for weight in ("0", "-1", "100", "1.0001"):
        with pytest.raises(ValidationError):
            Priced(price=Decimal(1), weight=Decimal(weight))
    schema = Priced.model_json_schema()["properties"]["weight"]
    assert (schema["type"], schema["pattern"]) == ("string", r"^-?\d{1,2}(\.\d{1,3})?$")


@pytest.mark.parametrize(("digits", "places"), [(0, 0), (19, 2), (2, 3), (5, -1)])
def test_a_type_that_no_column_holds_is_refused(digits: int, places: int) -> None:
    with pytest.raises(ValueError, match=r"a column holds 1 to 18 digits"):
        FixedPoint(digits=digits, places=places)


@examples()
@given(amounts)
def test_each_amount_comes_back(amount: Decimal) -> None:
    stored: Any = TYPE.process_bind_param(amount, None)  # type: ignore[arg-type]
    assert isinstance(stored, int)
    assert abs(stored) < 2**63
    assert TYPE.process_result_value(stored, None) == amount  # type: ignore[arg-type]
    assert fits(amount, TYPE)


@pytest.mark.parametrize("value", ["0.001", "NaN", "Infinity", "-Infinity", "1E-99"])
def test_a_number_that_does_not_fit_is_never_rounded(value: str) -> None:
    assert not fits(Decimal(value), TYPE)
    with pytest.raises(ValueError, match="does not fit"):
        TYPE.process_bind_param(Decimal(value), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["1E+16", "-1E+300", "10000000000000000.00"])
def test_a_number_that_is_too_large_is_refused(value: str) -> None:
    assert not fits(Decimal(value), TYPE)
    with pytest.raises(OverflowError, match="too large"):
        TYPE.process_bind_param(Decimal(value), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, True, "1"])
def test_only_exact_numbers_are_stored(value: Any) -> None:
    with pytest.raises(TypeError, match="stores a Decimal or an int"):
        TYPE.process_bind_param(value, None)  # type: ignore[arg-type]


def test_sql_refuses_what_would_change_the_unit() -> None:
    price: Any = SaleLine.price
    finer: Any = Column("weight", FixedPoint(digits=9, places=3))
    wrongs: list[Callable[[], Any]] = [
        lambda: price / 2,
        lambda: price // 2,
        lambda: price % 2,
        lambda: 2 / price,
        lambda: price * Decimal("0.9"),
        lambda: price * 0.9,
        lambda: price * price,
        lambda: price + finer,
        lambda: price == finer,
    ]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=r"Python|different units"):
            wrong()
    assert isinstance(func.avg(price).type, NullType)


@pytest.mark.anyio
async def test_sums_are_exact_in_sql(database: Database) -> None:
    table = Table(
        "test_amounts",
        MetaData(),
        Column("price", TYPE),
        Column("number", BigInteger),
    )
    price, number = table.c.price, table.c.number
    async with database.writer.begin() as connection:
        await connection.run_sync(table.create)
        rows = [{"price": Decimal("0.10"), "number": 3}] * 3 + [{"price": MOST, "number": 1}]
        await connection.execute(insert(table), [*rows, {"price": None, "number": 1}])
        found = select(
            func.sum(price),
            func.sum(price * number),
            func.max(price),
            func.min(price + Decimal("0.01")),
            func.coalesce(func.sum(price).filter(number > 5), 0),
            cast(func.count(price), Numeric),
        )
        row = (await connection.execute(found)).one()
        equal = select(func.count()).where(price * 3 == Decimal("0.30"))
        assert await connection.scalar(equal) == 3
    assert [str(value) for value in row[:5]] == [
        "10000000000000000.29",
        "10000000000000000.89",
        str(MOST),
        "0.11",
        "0.00",
    ]


def test_the_schema_says_how_an_amount_is_written() -> None:
    schema = TypeAdapter(Money).json_schema()
    assert schema["type"] == "string"
    assert schema["examples"] == ["19.90"]
