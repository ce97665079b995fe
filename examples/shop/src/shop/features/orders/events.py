"""What happens to orders."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from backstay import Event, Money


class OrderPaid(Event):
    """An order has been paid."""

    aggregate: ClassVar[str] = "day"

    order_id: UUID
    day: date
    amount: Money
