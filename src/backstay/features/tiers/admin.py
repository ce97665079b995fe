"""Where the console has the tiers."""

from backstay import AdminView
from backstay.features.tiers.queries import ListTiers

TIERS = AdminView(list=ListTiers, group="Access")
