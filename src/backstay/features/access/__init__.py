"""Roles, permissions and grants: who may do what, how far, with which fields."""

from backstay.core.feature import Feature
from backstay.features.access import commands, queries

feature = Feature(name="access", modules=(commands, queries), foundation=True)
