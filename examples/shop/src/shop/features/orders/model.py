"""The tables of orders: the order, its lines, and the number of the latest one."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from backstay import Base, Entity, Money
from sqlalchemy import ForeignKey, String, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shop.features.customers.model import Customer


class Status(StrEnum):
    """Where an order is in its life."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


class Order(Entity):
    """An order; it belongs to whoever looks after the customer."""

    __tablename__ = "orders"
    __owner__ = "customer_id.owner_id"

    number: Mapped[int] = mapped_column(unique=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"), index=True)
    status: Mapped[Status] = mapped_column(default=Status.PLACED)
    amount: Mapped[Money]
    placed_at: Mapped[datetime] = mapped_column(index=True)
    paid_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    lines: Mapped[list["OrderLine"]] = relationship(lazy="selectin", order_by="OrderLine.id")

    @property
    def customer_name(self) -> str:
        """The name of the customer."""
        return self.customer.name


class OrderLine(Entity):
    """So many of one article, at the price of that day."""

    __tablename__ = "order_lines"
    __owner__ = "order_id.customer_id.owner_id"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    article: Mapped[str] = mapped_column(String(100))
    quantity: Mapped[int]
    price: Mapped[Money]


class LatestNumber(Base):
    """One row with the number of the latest order; a migration inserts it."""

    __tablename__ = "order_numbers"

    id: Mapped[int] = mapped_column(primary_key=True)
    latest: Mapped[int]


NEXT_NUMBER = (
    update(LatestNumber).values(latest=LatestNumber.latest + 1).returning(LatestNumber.latest)
)
"""Takes the next number; the row stays locked until the order is stored, so none is left out."""
