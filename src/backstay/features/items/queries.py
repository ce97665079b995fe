"""Queries about items."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select

from backstay.core.bus import handles
from backstay.core.caching import Cached, TagContext
from backstay.core.errors import NotFound
from backstay.core.feature import PersonalData
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, Query, View
from backstay.core.permissions import SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.principal import Grant, Principal
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.queries import columns_of
from backstay.db.session import Reader
from backstay.features.items.model import Item
from backstay.features.items.schemas import ItemDetail, ItemExport, ItemSummary

LIST = PermissionSpec("items", "list", description="List items", default_scope=Scope.OWN)
READ = PermissionSpec("items", "read", description="Read an item", default_scope=Scope.OWN)


class GetItem(Query[ItemDetail]):
    """One item."""

    permission = READ
    cache = Cached(tags=("items:{id}", "items:erased"))

    id: FromPath[UUID]


_ANY_ITEM = select(*columns_of(ItemDetail, Item)).where(
    Item.id == bindparam("id"), Item.deleted_at.is_(None)
)
_ITEM = {
    Scope.ANY: _ANY_ITEM,
    Scope.OWN: _ANY_ITEM.where(Item.owner_id == bindparam("owner")),
}


@handles(GetItem)
async def get_item(
    query: GetItem, reader: Reader, principal: Principal, grant: Grant
) -> ItemDetail:
    parameters = {"id": query.id, "owner": principal.user_id}
    row = await reader.one_or_none(_ITEM[grant.scope], parameters)
    if row is None:
        raise NotFound
    return ItemDetail.model_validate(row)


def _shown(context: TagContext) -> Iterator[str]:
    """The cache tag of a list: that of the caller's own items, or that of all items."""
    own = context.grant.scope is Scope.OWN
    yield f"items:of:{context.principal.user_id}" if own else "items"


class ListItems(ListQuery[ItemSummary]):
    """Items, newest first."""

    permission = LIST
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

    permission = LIST
    cache = Cached(tags=("items:of:{id}",))
    sortable = ListItems.sortable
    searchable = ListItems.searchable

    id: FromPath[UUID]
    title: Text | None = None
    description: Text | None = None
    created_at: Range[datetime] | None = None
    updated_at: Range[datetime] | None = None


ITEMS = Listing(ListItems, Item, ItemSummary, owner=Item.owner_id)
ITEMS_OF_USER = Listing(
    ListItemsOfUser,
    Item,
    ItemSummary,
    owner=Item.owner_id,
    where=Item.owner_id == bindparam("id"),
)


@handles(ListItems)
async def list_items(
    query: ListItems, paginate: Paginator
) -> Page[ItemSummary] | CursorPage[ItemSummary]:
    return await paginate(ITEMS, query)


@handles(ListItemsOfUser)
async def list_items_of_user(
    query: ListItemsOfUser, paginate: Paginator
) -> Page[ItemSummary] | CursorPage[ItemSummary]:
    return await paginate(ITEMS_OF_USER, query)


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
