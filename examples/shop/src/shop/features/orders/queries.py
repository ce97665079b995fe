"""Queries about orders, and what is declared once about them."""

from datetime import date
from uuid import UUID

from backstay import (
    Equals,
    FromPath,
    Grant,
    Listing,
    ListQuery,
    Money,
    Principal,
    Query,
    Range,
    Reader,
    Resource,
    Scope,
    Stream,
    Target,
    Text,
    columns_of,
    handles,
    stream_rows,
    visible,
)
from sqlalchemy import bindparam, join, select

from shop.features.customers.model import Customer
from shop.features.orders.model import Order, OrderLine, Status
from shop.features.orders.schemas import LineView, OrderDetail, OrderRow, OrderSummary

WITH_CUSTOMER = join(Order, Customer, Order.customer_id == Customer.id)
COLUMNS = {"customer_name": Customer.name}

ORDERS = Resource(
    "orders",
    Order,
    OrderSummary,
    default_scope=Scope.OWN,
    from_=WITH_CUSTOMER,
    columns=COLUMNS,
    shown_by=lambda order: GetOrder(id=order.id),
)
CANCEL = ORDERS.may("cancel")


class GetOrder(Query[OrderDetail]):
    """One order with its lines."""

    permission = ORDERS.read

    id: FromPath[UUID]


LINES = (
    select(*columns_of(LineView, OrderLine))
    .where(OrderLine.order_id == bindparam("id"))
    .order_by(OrderLine.id)
)


@handles(GetOrder)
async def get_order(query: GetOrder, order: Target[OrderSummary], reader: Reader) -> OrderDetail:
    lines = await reader.rows(LINES, {"id": query.id})
    return OrderDetail.model_validate({**dict(order), "lines": lines})


class ListOrders(ListQuery[OrderSummary]):
    """Orders, newest first."""

    permission = ORDERS.list
    sortable = ("placed_at", "paid_at", "amount", "number", "customer_name")
    searchable = ("customer_name",)

    number: Equals[int] | None = None
    status: Equals[Status] | None = None
    placed_at: Range[date] | None = None
    paid_at: Range[date] | None = None
    amount: Range[Money] | None = None
    customer_name: Text | None = None


ORDERS_LIST = Listing(ListOrders, Order, OrderSummary, from_=WITH_CUSTOMER, columns=COLUMNS)


class ExportOrders(Query[Stream[OrderRow]]):
    """Every order that the caller may see, in the order of their numbers."""

    permission = ORDERS.list
    takes_long = True


@handles(ExportOrders)
async def export_orders(
    query: ExportOrders, reader: Reader, principal: Principal, grant: Grant
) -> Stream[OrderRow]:
    orders = (
        select(*columns_of(OrderRow, Order, COLUMNS))
        .select_from(WITH_CUSTOMER)
        .where(visible(Customer.owner_id, principal, grant))
    )
    return stream_rows(reader, orders, OrderRow, key=Order.number)
