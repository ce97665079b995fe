"""Items: owned and softly deleted."""

from backstay import Feature
from backstay.features.items.queries import ExportItems

feature = Feature("items", __name__, personal_data={"items": ExportItems})
