"""The table of sales."""

from datetime import date

from backstay import Entity, Money
from sqlalchemy.orm import Mapped, mapped_column


class DaySales(Entity):
    """What was paid on one day (UTC)."""

    __tablename__ = "day_sales"

    day: Mapped[date] = mapped_column(unique=True)
    orders: Mapped[int]
    revenue: Mapped[Money]
