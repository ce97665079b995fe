"""What happens to orders."""

from datetime import date
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from backstay import Event


class OrderPaid(Event):
    """An order has been paid."""

    aggregate: ClassVar[str] = "day"

    order_id: UUID
    day: date
    amount: Decimal
