"""Commands that create, change, delete and restore items."""

from uuid import UUID

from sqlalchemy import select

from backstay.core.bus import handles
from backstay.core.context import CacheTags
from backstay.core.messages import Command, FromPath, FromQuery, optional
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.ports import Clock
from backstay.core.principal import Grant, Principal
from backstay.core.representation import Preconditions
from backstay.db.queries import one_or_404, visible
from backstay.db.session import Transaction
from backstay.features.items.model import Item
from backstay.features.items.schemas import Description, ItemDetail, Title

CREATE = PermissionSpec("items", "create", description="Create items", default_scope=Scope.OWN)
UPDATE = PermissionSpec("items", "update", description="Change items", default_scope=Scope.OWN)
DELETE = PermissionSpec(
    "items", "delete", description="Delete and restore items", default_scope=Scope.OWN
)


ITEM = ("items", "items:{id}")
"""The tags of cached answers that show an item; a handler adds that of the owner's lists."""


class CreateItem(Command[ItemDetail]):
    """Create an item; it belongs to you."""

    permission = CREATE
    touches = ("items", "items:of:{principal}")

    title: Title
    description: Description | None = None


@handles(CreateItem)
async def create_item(
    command: CreateItem, session: Transaction, principal: Principal
) -> ItemDetail:
    item = await session.insert_one(Item(**command.model_dump(), owner_id=principal.id))
    return ItemDetail.model_validate(item)


class ReplaceItem(Command[ItemDetail]):
    """Replace an item as a whole."""

    permission = UPDATE
    touches = ITEM
    replaces = True

    id: FromPath[UUID]
    title: Title
    description: Description | None = None


@handles(ReplaceItem)
async def replace_item(
    command: ReplaceItem,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    tags: CacheTags,
    preconditions: Preconditions,
) -> ItemDetail:
    item = await _item(command.id, session, principal, grant, tags)
    preconditions.check(ItemDetail.model_validate(item))
    item.title, item.description = command.title, command.description
    await session.flush()
    return ItemDetail.model_validate(item)


class UpdateItem(Command[ItemDetail]):
    """Change the named fields of an item."""

    permission = UPDATE
    touches = ITEM

    id: FromPath[UUID]
    title: Title = optional()
    description: Description | None = optional()


@handles(UpdateItem)
async def update_item(
    command: UpdateItem,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    tags: CacheTags,
    preconditions: Preconditions,
) -> ItemDetail:
    item = await _item(command.id, session, principal, grant, tags)
    preconditions.check(ItemDetail.model_validate(item))
    for name, value in command.changes().items():
        setattr(item, name, value)
    await session.flush()
    return ItemDetail.model_validate(item)


class DeleteItem(Command[None]):
    """Delete an item: hidden and restorable, or for good with `hard=true`."""

    permission = DELETE
    touches = ITEM

    id: FromPath[UUID]
    hard: FromQuery[bool] = False


@handles(DeleteItem)
async def delete_item(
    command: DeleteItem,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    tags: CacheTags,
    preconditions: Preconditions,
    clock: Clock,
) -> None:
    item = await _item(command.id, session, principal, grant, tags, deleted=command.hard)
    preconditions.check(ItemDetail.model_validate(item))
    if command.hard:
        await session.delete(item)
    else:
        item.deleted_at = clock()


class RestoreItem(Command[ItemDetail]):
    """Bring a deleted item back."""

    permission = DELETE
    touches = ITEM

    id: FromPath[UUID]


@handles(RestoreItem)
async def restore_item(
    command: RestoreItem, session: Transaction, principal: Principal, grant: Grant, tags: CacheTags
) -> ItemDetail:
    item = await _item(command.id, session, principal, grant, tags, deleted=True)
    item.deleted_at = None
    await session.flush()
    return ItemDetail.model_validate(item)


async def _item(
    item_id: UUID,
    session: Transaction,
    principal: Principal,
    grant: Grant,
    tags: CacheTags,
    *,
    deleted: bool = False,
) -> Item:
    """The item, locked until the transaction ends; with ``deleted`` also a deleted one."""
    query = select(Item).where(Item.id == item_id, visible(Item.owner_id, principal, grant))
    if not deleted:
        query = query.where(Item.deleted_at.is_(None))
    item = await one_or_404(session, query, lock=True)
    tags.touch(f"items:of:{item.owner_id}")
    return item
