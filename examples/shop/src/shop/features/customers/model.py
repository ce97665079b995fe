"""The table of customers."""

from uuid import UUID

from backstay import Entity, SoftDelete
from sqlalchemy import ForeignKey, Index, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column


class Customer(SoftDelete, Entity):
    """A customer, looked after by one user."""

    __tablename__ = "customers"
    __owner__ = "owner_id"

    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254))
    orders: Mapped[int] = mapped_column(default=0)
    owner_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id"))


customer_owner = Index("ix_customers_owner_id_id", Customer.owner_id, Customer.id)
