"""The table of items."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from backstay import Entity, SoftDelete


class Item(SoftDelete, Entity):
    """An item that belongs to a user."""

    __tablename__ = "items"
    __owner__ = "owner_id"

    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("users.id"))


item_owner = Index("ix_items_owner_id_id", Item.owner_id, Item.id)
