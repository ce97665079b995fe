"""Commands that create, change, delete and restore items."""

from typing import Annotated
from uuid import UUID

from backstay import (
    AnyTarget,
    By,
    Clock,
    Command,
    FromPath,
    FromQuery,
    Principal,
    Target,
    Transaction,
    handles,
    optional,
)
from backstay.features.items.model import Item
from backstay.features.items.schemas import ITEMS, Description, ItemDetail, Title


class CreateItem(Command[ItemDetail]):
    """Create an item; it belongs to you."""

    permission = ITEMS.create
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

    permission = ITEMS.update
    replaces = True

    id: FromPath[UUID]
    title: Title
    description: Description | None = None


@handles(ReplaceItem)
async def replace_item(
    command: ReplaceItem, item: Target[Item], session: Transaction
) -> ItemDetail:
    item.title = command.title
    item.description = command.description
    await session.flush()
    return ItemDetail.model_validate(item)


class UpdateItem(Command[ItemDetail]):
    """Change the named fields of an item."""

    permission = ITEMS.update

    id: FromPath[UUID]
    title: Title = optional()
    description: Description | None = optional()


@handles(UpdateItem)
async def update_item(command: UpdateItem, item: Target[Item], session: Transaction) -> ItemDetail:
    for name, value in command.changes().items():
        setattr(item, name, value)
    await session.flush()
    return ItemDetail.model_validate(item)


class DeleteItem(Command[None]):
    """Delete an item; it can be restored, unless `hard=true`."""

    permission = ITEMS.delete

    id: FromPath[UUID]
    hard: FromQuery[bool] = False


@handles(DeleteItem)
async def delete_item(
    command: DeleteItem,
    item: Annotated[Item, By(deleted="hard")],
    session: Transaction,
    clock: Clock,
) -> None:
    if command.hard:
        await session.delete(item)
    else:
        item.deleted_at = clock()


class RestoreItem(Command[ItemDetail]):
    """Bring a deleted item back."""

    permission = ITEMS.delete

    id: FromPath[UUID]


@handles(RestoreItem)
async def restore_item(
    command: RestoreItem, item: AnyTarget[Item], session: Transaction
) -> ItemDetail:
    item.deleted_at = None
    await session.flush()
    return ItemDetail.model_validate(item)
