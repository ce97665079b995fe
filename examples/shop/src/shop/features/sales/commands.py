"""The command that adds a paid order to the sales of its day."""

from datetime import date

from backstay import SYSTEM_ONLY, Command, Money, Transaction, handles, subscribes

from shop.features.orders.events import OrderPaid
from shop.features.sales.model import DaySales


class AddSale(Command[None]):
    """Add a paid order to the sales of its day."""

    permission = SYSTEM_ONLY
    touches = ("sales",)

    day: date
    amount: Money


@subscribes(OrderPaid)
def add(event: OrderPaid) -> AddSale:
    return AddSale(day=event.day, amount=event.amount)


@handles(AddSale)
async def add_sale(command: AddSale, session: Transaction) -> None:
    added = await session.update_where(
        DaySales,
        DaySales.day == command.day,
        orders=DaySales.orders + 1,
        revenue=DaySales.revenue + command.amount,
    )
    if not added:
        await session.insert_one(DaySales(day=command.day, orders=1, revenue=command.amount))
