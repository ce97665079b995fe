"""The report of sales."""

from datetime import date
from decimal import Decimal

from backstay import Cached, Money, PermissionSpec, Query, Reader, View, columns_of, handles
from sqlalchemy import bindparam, select

from shop.features.sales.model import DaySales

SALES = PermissionSpec("sales", "read", description="Read the report of sales")


class Day(View):
    """The sales of one day."""

    day: date
    orders: int
    revenue: Money


class Sales(View):
    """The sales of some days."""

    days: tuple[Day, ...]
    revenue: Money


class GetSales(Query[Sales]):
    """The sales from one day to another, both included."""

    permission = SALES
    cache = Cached(tags=("sales",))

    since: date
    until: date


DAYS = (
    select(*columns_of(Day, DaySales))
    .where(DaySales.day.between(bindparam("since"), bindparam("until")))
    .order_by(DaySales.day)
)


@handles(GetSales)
async def get_sales(query: GetSales, reader: Reader) -> Sales:
    rows = await reader.rows(DAYS, query.model_dump())
    days = tuple(Day.model_validate(row) for row in rows)
    return Sales(days=days, revenue=sum((day.revenue for day in days), Decimal("0.00")))
