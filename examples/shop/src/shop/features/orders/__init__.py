"""Orders: placed, paid, shipped, or cancelled."""

from backstay import Feature, cron

from shop.features.orders.commands import CancelUnpaid

feature = Feature(
    "orders",
    __name__,
    requires=("customers", "mail"),
    schedule=(cron("30 4 * * *", CancelUnpaid(), name="cancel_unpaid"),),
)
