"""The views of orders."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from backstay import Money, View
from pydantic import BaseModel, Field, StringConstraints

from shop.features.orders.model import Status


class NewLine(BaseModel):
    """So many of one article."""

    article: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    quantity: Annotated[int, Field(ge=1, le=10_000)]
    price: Annotated[Money, Field(ge=0, le=1_000_000)]


class LineView(View):
    """A line of an order."""

    article: str
    quantity: int
    price: Money


class OrderSummary(View):
    """An order in a list."""

    id: UUID
    number: int
    customer_id: UUID
    customer_name: str
    status: Status
    amount: Money
    placed_at: datetime
    paid_at: datetime | None


class OrderDetail(OrderSummary):
    """An order with its lines."""

    lines: tuple[LineView, ...]


class OrderRow(View):
    """A line of the file of orders."""

    number: int
    customer_name: str
    status: Status
    amount: Money
    placed_at: datetime
