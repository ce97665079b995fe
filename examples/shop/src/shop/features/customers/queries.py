"""Queries about customers."""

from datetime import datetime
from uuid import UUID

from backstay import FromPath, Listing, ListQuery, Query, Range, Target, Text, handles

from shop.features.customers.model import Customer
from shop.features.customers.schemas import CUSTOMERS, CustomerView


class GetCustomer(Query[CustomerView]):
    """One customer."""

    permission = CUSTOMERS.read

    id: FromPath[UUID]


@handles(GetCustomer)
async def get_customer(query: GetCustomer, customer: Target[CustomerView]) -> CustomerView:
    return customer


class ListCustomers(ListQuery[CustomerView]):
    """Customers, newest first."""

    permission = CUSTOMERS.list
    sortable = ("created_at", "name", "orders")
    searchable = ("name", "email")

    name: Text | None = None
    email: Text | None = None
    orders: Range[int] | None = None
    created_at: Range[datetime] | None = None


CUSTOMERS_LIST = Listing(ListCustomers, Customer, CustomerView)
