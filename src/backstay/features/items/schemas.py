"""The views of items, the constraints of their fields, and what is declared once about them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from backstay import Resource, Scope, View
from backstay.features.items.model import Item

Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Description = Annotated[str, StringConstraints(max_length=10_000)]


class ItemSummary(View):
    """An item in a list."""

    id: UUID
    title: str
    owner_id: UUID
    created_at: datetime
    updated_at: datetime


class ItemDetail(ItemSummary):
    """An item."""

    description: str | None
    version: int


class ItemExport(ItemDetail):
    """An item in the export of its owner's data; also a deleted one."""

    deleted_at: datetime | None


ITEMS = Resource(
    "items",
    Item,
    ItemDetail,
    default_scope=Scope.OWN,
    descriptions={"read": "Read an item"},
    tags=("items", "items:{id}", "items:of:{owner_id}"),
)
