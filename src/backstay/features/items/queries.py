"""Queries about items."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay import (
    SYSTEM_ONLY,
    Cached,
    Equals,
    FromPath,
    Listing,
    ListQuery,
    PersonalData,
    Query,
    Range,
    Reader,
    Scope,
    TagContext,
    Target,
    Text,
    View,
    columns_of,
    handles,
)
from backstay.features.items.model import Item
from backstay.features.items.schemas import ITEMS, ItemDetail, ItemExport, ItemSummary


class GetItem(Query[ItemDetail]):
    """One item."""

    permission = ITEMS.read
    cache = Cached(tags=("items:{id}", "items:erased"))

    id: FromPath[UUID]


@handles(GetItem)
async def get_item(query: GetItem, item: Target[ItemDetail]) -> ItemDetail:
    return item


def _shown(context: TagContext) -> Iterator[str]:
    """The cache tag of a list: that of the caller's own rows, or that of all rows."""
    if context.grant.scope is Scope.OWN:
        yield f"items:of:{context.principal.user_id}"
    else:
        yield "items"


class ListItems(ListQuery[ItemSummary]):
    """Items, newest first."""

    permission = ITEMS.list
    cache = Cached(tags=(_shown,))
    sortable = ("created_at", "updated_at", "title")
    searchable = ("title", "description")

    title: Text | None = None
    description: Text | None = None
    owner_id: Equals[UUID] | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


class ListItemsOfUser(ListQuery[ItemSummary]):
    """The items of one user, newest first."""

    permission = ITEMS.list
    cache = Cached(tags=("items:of:{id}",))
    sortable = ListItems.sortable
    searchable = ListItems.searchable

    id: FromPath[UUID]
    title: Text | None = None
    description: Text | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


ITEMS_LIST = Listing(ListItems, Item, ItemSummary)
ITEMS_OF_USER = Listing(ListItemsOfUser, Item, ItemSummary, where=Item.owner_id == bindparam("id"))


class ExportItems(PersonalData):
    """Every item of a person, the deleted ones too."""

    permission = SYSTEM_ONLY


_EXPORT = (
    select(*columns_of(ItemExport, Item))
    .where(Item.owner_id == bindparam("user_id"))
    .order_by(Item.id)
)


@handles(ExportItems)
async def export_items(query: ExportItems, reader: Reader) -> tuple[View, ...]:
    rows = await reader.rows(_EXPORT, {"user_id": query.user_id})
    return tuple(ItemExport.model_validate(row) for row in rows)
