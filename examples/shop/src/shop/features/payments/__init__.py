"""Payments, as the payment provider announces them."""

from backstay import Feature

feature = Feature("payments", __name__, requires=("orders",))
