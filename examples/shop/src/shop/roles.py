"""The roles of the shop."""

from backstay import RoleSpec, Scope

from shop.features.customers.schemas import CUSTOMERS
from shop.features.orders.queries import CANCEL, ORDERS
from shop.features.sales.queries import SALES

MANAGER = RoleSpec(
    name="manager",
    level=100,
    description="Runs the shop, and alone cancels orders.",
    grants={
        CUSTOMERS.read: Scope.ANY,
        CUSTOMERS.list: Scope.ANY,
        ORDERS.read: Scope.ANY,
        ORDERS.list: Scope.ANY,
        CANCEL: Scope.ANY,
        SALES: Scope.ANY,
    },
)
