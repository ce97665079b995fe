"""Sales: what was paid on each day."""

from backstay import Feature

feature = Feature("sales", __name__, requires=("orders",))
