"""Customers: to whom the shop sells."""

from backstay import Feature

feature = Feature("customers", __name__)
