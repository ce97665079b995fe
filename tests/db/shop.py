"""A made-up project `shop` with migrations of its own, and an older version of the platform."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Column, Enum, ForeignKey, Index, Numeric, String, Table, Uuid, true

from backstay.db import migrate
from backstay.db.base import Base, UtcDateTime
from backstay.db.migrations.runner import PLATFORM, Histories, History, forget
from backstay.db.options import EngineOptions

LABEL = "shop"


@dataclass(frozen=True)
class Shop:
    """The project on a database; its models are those that the tests declare."""

    options: EngineOptions
    history: History
    platform: History = PLATFORM

    @property
    def histories(self) -> Histories:
        return self.platform, self.history

    async def write(self, message: str, **asked: Any) -> Path:
        """Write the next revision of the project."""
        given: dict[str, Any] = {"history": self.history, "histories": self.histories}
        return await migrate.revision(self.options, message, **given, **asked)

    async def upgrade(self, revision: str = "head") -> list[str]:
        return await migrate.upgrade(self.options, revision, self.histories)

    async def downgrade(self, revision: str) -> list[str]:
        return await migrate.downgrade(self.options, revision, True, self.histories)

    async def examine(self) -> tuple[list[str], list[str]]:
        return await migrate.examine(self.options, self.histories)

    async def sentence(self) -> str:
        return (await migrate.standing(self.options, self.histories)).sentence

    def with_file(self, name: str, body: str, down: str | None, *depends_on: str) -> None:
        """Write a revision by hand; its number is that of the name."""
        self.history.folder.mkdir(exist_ok=True)
        labels = None if down else (LABEL,)
        (self.history.folder / name).write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f"revision = '{LABEL}_{name[:4]}'\ndown_revision = {down!r}\n"
            f"branch_labels = {labels!r}\ndepends_on = {depends_on!r}\n{body}"
        )
        forget()


def platform_of(count: int, folder: Path) -> History:
    """The platform as it was when it had only so many revisions."""
    folder.mkdir()
    for path in sorted(PLATFORM.folder.glob("0*.py"))[:count]:
        shutil.copy(path, folder)
    return History(PLATFORM.label, folder)


@contextmanager
def declared(*tables: Table) -> Iterator[None]:
    """Take tables out of the declared ones again."""
    try:
        yield
    finally:
        for table in tables:
            Base.metadata.remove(table)


def orders(*columns: Any) -> Table:
    """The table of orders, with one of everything that a revision has to write."""
    return Table(
        "orders",
        Base.metadata,
        Column("id", Uuid, primary_key=True),
        Column("customer_id", Uuid, ForeignKey("users.id"), nullable=False),
        Column("number", String(20), nullable=False, unique=True),
        Column("total", Numeric(10, 2), nullable=False),
        Column("status", Enum("placed", "paid", name="order_status"), nullable=False),
        Column("kind", Enum("web", "phone", native_enum=False, length=8), nullable=False),
        Column("is_open", Boolean, nullable=False, server_default=true()),
        Column("placed_at", UtcDateTime, nullable=False),
        *columns,
        Index("ix_orders_customer_id_id", "customer_id", "id"),
    )
