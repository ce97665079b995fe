"""The routes of orders."""

from backstay import Routes

from shop.features.orders.commands import CancelOrder, PayOrder, PlaceOrder, ShipOrder
from shop.features.orders.queries import ExportOrders, GetOrder, ListOrders

routes = Routes("/orders", tag="orders", about="What customers order.")
routes.stream("/export.csv", ExportOrders, filename="orders.csv")
routes.post("", PlaceOrder, location="/orders/{id}")
routes.get("", ListOrders)
routes.get("/{id}", GetOrder)
routes.post("/{id}/pay", PayOrder)
routes.post("/{id}/cancel", CancelOrder)
routes.upload(
    "/{id}/delivery-note", ShipOrder, media_types=("application/pdf",), max_bytes=5_000_000
)
