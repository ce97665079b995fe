"""The rules by which the requests of users are counted, stored with the tiers of the users."""

from backstay.core.feature import Feature
from backstay.features.rate_rules import commands, queries

feature = Feature(
    name="rate_rules",
    modules=(commands, queries),
    foundation=True,
)
