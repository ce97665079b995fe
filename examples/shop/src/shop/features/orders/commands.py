"""Commands that place, pay, ship and cancel orders."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from backstay import (
    SYSTEM_ONLY,
    By,
    Clock,
    Command,
    Conflict,
    Events,
    FromPath,
    Jobs,
    Scope,
    SendMail,
    Target,
    Transaction,
    Upload,
    handles,
)
from pydantic import Field

from shop.features.customers.events import CustomerOrdered
from shop.features.customers.model import Customer
from shop.features.orders.events import OrderPaid
from shop.features.orders.model import NEXT_NUMBER, Order, OrderLine, Status
from shop.features.orders.queries import CANCEL, ORDERS
from shop.features.orders.schemas import NewLine, OrderDetail
from shop.settings import ShopSettings

NEXT = {
    Status.PLACED: {Status.PAID, Status.CANCELLED},
    Status.PAID: {Status.SHIPPED},
    Status.SHIPPED: set[Status](),
    Status.CANCELLED: set[Status](),
}


class WrongStatus(Conflict):
    code, title = "orders.wrong_status", "The order is not in a state in which this is possible"


def move(order: Order, to: Status) -> None:
    """Change the status of an order.

    Raises:
        WrongStatus: the order cannot get there from where it is.
    """
    if to not in NEXT[order.status]:
        raise WrongStatus(f"It is {order.status}.")
    order.status = to


class PlaceOrder(Command[OrderDetail]):
    """Place an order for a customer whom you look after."""

    permission = ORDERS.create

    customer_id: UUID
    lines: Annotated[tuple[NewLine, ...], Field(min_length=1, max_length=100)]


@handles(PlaceOrder)
async def place_order(
    command: PlaceOrder,
    customer: Annotated[Customer, By("customer_id")],
    session: Transaction,
    events: Events,
    clock: Clock,
) -> OrderDetail:
    order = Order(
        number=await session.scalar(NEXT_NUMBER),
        customer=customer,
        amount=sum(line.quantity * line.price for line in command.lines),
        placed_at=clock(),
        lines=[OrderLine(**line.model_dump()) for line in command.lines],
    )
    session.add(order)
    await session.flush()
    await events.publish(CustomerOrdered(customer_id=customer.id))
    return OrderDetail.model_validate(order)


class PayOrder(Command[OrderDetail]):
    """Pay a placed order."""

    permission = ORDERS.may("pay", default_scope=Scope.OWN)

    id: FromPath[UUID]


@handles(PayOrder)
async def pay_order(
    command: PayOrder,
    order: Target[Order],
    session: Transaction,
    jobs: Jobs,
    events: Events,
    clock: Clock,
) -> OrderDetail:
    move(order, Status.PAID)
    order.paid_at = now = clock()
    await jobs.as_system().enqueue(SendReceipt(id=order.id))
    await events.publish(OrderPaid(order_id=order.id, day=now.date(), amount=order.amount))
    await session.flush()
    return OrderDetail.model_validate(order)


class SendReceipt(Command[None]):
    """Mail the receipt of a paid order to the customer."""

    permission = SYSTEM_ONLY

    id: UUID


@handles(SendReceipt)
async def send_receipt(command: SendReceipt, order: Target[Order], jobs: Jobs) -> None:
    values = {"number": str(order.number), "total": str(order.amount), "name": order.customer_name}
    mail = SendMail(template="receipt", recipient=order.customer.email, values=values)
    await jobs.as_system().enqueue(mail)


class ShipOrder(Command[OrderDetail]):
    """Send a paid order off, with the signed delivery note."""

    permission = ORDERS.update

    id: FromPath[UUID]
    note: Upload


@handles(ShipOrder)
async def ship_order(
    command: ShipOrder, order: Target[Order], session: Transaction, shop: ShopSettings
) -> OrderDetail:
    move(order, Status.SHIPPED)
    await command.note.keep(shop.notes / f"{order.id}.pdf")
    await session.flush()
    return OrderDetail.model_validate(order)


class CancelOrder(Command[OrderDetail]):
    """Cancel an order that nobody has paid."""

    permission = CANCEL

    id: FromPath[UUID]


@handles(CancelOrder)
async def cancel_order(
    command: CancelOrder, order: Target[Order], session: Transaction
) -> OrderDetail:
    move(order, Status.CANCELLED)
    await session.flush()
    return OrderDetail.model_validate(order)


class CancelUnpaid(Command[int]):
    """Cancel the orders that have waited for their payment for too long; how many there were."""

    permission = SYSTEM_ONLY


@handles(CancelUnpaid)
async def cancel_unpaid(
    command: CancelUnpaid, session: Transaction, shop: ShopSettings, clock: Clock
) -> int:
    return await session.update_where(
        Order,
        Order.status == Status.PLACED,
        Order.placed_at < clock() - timedelta(days=shop.unpaid_days),
        status=Status.CANCELLED,
    )
