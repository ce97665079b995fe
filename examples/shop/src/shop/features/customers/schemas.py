"""The views of customers, and their permissions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from backstay import Resource, Scope, View
from pydantic import StringConstraints

from shop.features.customers.model import Customer

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class CustomerView(View):
    """A customer; `orders` counts what the customer has ever ordered."""

    id: UUID
    name: str
    email: str
    orders: int
    owner_id: UUID
    created_at: datetime


CUSTOMERS = Resource("customers", Customer, CustomerView, default_scope=Scope.OWN)
