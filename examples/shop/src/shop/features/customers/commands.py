"""Commands that create, change, delete and count customers."""

from uuid import UUID

from backstay import (
    SYSTEM_ONLY,
    Clock,
    Command,
    FromPath,
    Principal,
    Target,
    Transaction,
    handles,
    optional,
    subscribes,
)
from pydantic import EmailStr

from shop.features.customers.events import CustomerOrdered
from shop.features.customers.model import Customer
from shop.features.customers.schemas import CUSTOMERS, CustomerView, Name


class CreateCustomer(Command[CustomerView]):
    """Create a customer, whom you look after."""

    permission = CUSTOMERS.create

    name: Name
    email: EmailStr


@handles(CreateCustomer)
async def create_customer(
    command: CreateCustomer, session: Transaction, principal: Principal
) -> CustomerView:
    customer = Customer(**command.model_dump(), owner_id=principal.id)
    return CustomerView.model_validate(await session.insert_one(customer))


class UpdateCustomer(Command[CustomerView]):
    """Change the named fields of a customer."""

    permission = CUSTOMERS.update

    id: FromPath[UUID]
    name: Name = optional()
    email: EmailStr = optional()


@handles(UpdateCustomer)
async def update_customer(
    command: UpdateCustomer, customer: Target[Customer], session: Transaction
) -> CustomerView:
    for name, value in command.changes().items():
        setattr(customer, name, value)
    await session.flush()
    return CustomerView.model_validate(customer)


class DeleteCustomer(Command[None]):
    """Delete a customer; what the customer has ordered stays."""

    permission = CUSTOMERS.delete

    id: FromPath[UUID]


@handles(DeleteCustomer)
async def delete_customer(
    command: DeleteCustomer, customer: Target[Customer], clock: Clock
) -> None:
    customer.deleted_at = clock()


class CountOrder(Command[None]):
    """Count an order of a customer."""

    permission = SYSTEM_ONLY

    customer_id: UUID


@subscribes(CustomerOrdered)
def count(event: CustomerOrdered) -> CountOrder:
    return CountOrder(customer_id=event.customer_id)


@handles(CountOrder)
async def count_order(command: CountOrder, session: Transaction) -> None:
    await session.update_where(
        Customer, Customer.id == command.customer_id, orders=Customer.orders + 1
    )
