"""The route of the report."""

from backstay import Routes

from shop.features.sales.queries import GetSales

routes = Routes("/sales", tag="sales", about="What was paid.")
routes.get("", GetSales)
