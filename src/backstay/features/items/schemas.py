"""The views of items and the constraints of their fields."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from backstay.core.messages import View

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
