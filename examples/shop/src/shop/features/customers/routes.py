"""The routes of customers."""

from backstay import Routes

from shop.features.customers.commands import CreateCustomer, DeleteCustomer, UpdateCustomer
from shop.features.customers.queries import GetCustomer, ListCustomers

routes = Routes("/customers", tag="customers", about="To whom the shop sells.")
routes.post("", CreateCustomer, location="/customers/{id}")
routes.get("", ListCustomers)
routes.get("/{id}", GetCustomer)
routes.patch("/{id}", UpdateCustomer)
routes.delete("/{id}", DeleteCustomer)
