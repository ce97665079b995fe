"""The views of items, the rules of fields, and the resource."""

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
    """An item in its owner's export; also a deleted one."""

    deleted_at: datetime | None


ITEMS = Resource(
    "items",
    Item,
    ItemDetail,
    default_scope=Scope.OWN,
    tags=("items", "items:{id}", "items:of:{owner_id}"),
)
