"""Shows that missing tables and columns are noticed at the start and by the probe."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Column, Computed, Integer, String, Table, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql import quoted_name

from backstay.composition import Backstay, compose
from backstay.core.wiring import BootError, Code, Place
from backstay.db import migrate
from backstay.db.checks import absence_faults
from backstay.features.items.model import Item
from backstay.features.system.queries.probes import GetReadiness
from backstay.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ship(settings: Settings) -> AsyncIterator[Backstay]:
    backstay = compose(settings)
    yield backstay
    await backstay.close()


async def write(ship: Backstay, *statements: str) -> None:
    async with ship.database.writer.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def test_every_table_of_the_platform_is_there(ship: Backstay) -> None:
    await ship.require_schema()
    tables = {str(model.__table__.name) for model in ship.models}  # type: ignore[attr-defined]
    assert {"items", "users", "sessions", "jobs", "activity", "idempotency_keys"} <= tables
    assert (await ship.system(GetReadiness())).status == "ready"


async def test_a_missing_table_is_reported_with_its_model(ship: Backstay) -> None:
    await write(ship, "DROP TABLE items")
    assert await migrate.schema_fault(ship.database) is None
    with pytest.raises(BootError) as caught:
        await ship.require_schema()
    (fault,) = caught.value.faults
    assert (fault.code, fault.where) == (Code.TABLE_MISSING, str(Place.of(Item)))
    assert fault.problem == "The database has no table items, which Item is."
    assert "backstay db revision" in fault.hint
    told: Any = await ship.system(GetReadiness())
    assert (told.status, "items" in told.reason) == ("not ready", False)
    assert told.reason == "The database lacks 1 tables or columns: `backstay db check` names them."


async def test_a_missing_column_is_reported(ship: Backstay) -> None:
    await write(ship, "ALTER TABLE items RENAME COLUMN description TO about")
    (fault,) = await absence_faults(ship.database, ship.models)
    assert fault.code is Code.TABLE_COLUMN_MISSING
    assert fault.problem == "The database has no column items.description."


async def test_additional_tables_and_columns_are_ignored(ship: Backstay) -> None:
    await write(
        ship, "ALTER TABLE items ADD COLUMN weight INTEGER", "CREATE TABLE whims (a INTEGER)"
    )
    await ship.require_schema()


async def test_tables_are_looked_for_in_the_search_path(ship: Backstay) -> None:
    """Tables in the schemas of the search path count, those in others do not."""
    if ship.database.options.is_sqlite:
        pytest.skip("SQLite has no schemas")
    await write(ship, "CREATE SCHEMA elsewhere", "ALTER TABLE items SET SCHEMA elsewhere")
    assert [each.code for each in await absence_faults(ship.database, ship.models)] == [
        Code.TABLE_MISSING
    ]
    async with ship.database.writer.connect() as connection:
        name = await connection.scalar(text("SELECT current_database()"))
    await write(ship, f'ALTER DATABASE "{name}" SET search_path = elsewhere, public')
    await ship.database.probe_engine.dispose()
    assert await absence_faults(ship.database, ship.models) == ()


async def test_broken_views_of_others_do_not_fail_the_check(ship: Backstay) -> None:
    """SQLite keeps views of dropped tables, whose columns it can no longer list."""
    await write(ship, "CREATE TABLE whims (a INTEGER)", "CREATE VIEW stale AS SELECT a FROM whims")
    if ship.database.options.is_sqlite:
        await write(ship, "PRAGMA legacy_alter_table = ON", "DROP TABLE whims")
    await ship.require_schema()


class Strange(DeclarativeBase):
    """Models that are no part of the application."""


class Shape(Strange):
    __tablename__ = "ÄPFEL"

    id: Mapped[int] = mapped_column("GRÖSSE", primary_key=True)
    half: Mapped[int] = mapped_column(Computed('"GRÖSSE" / 2', persisted=True))


class Outline(Strange):
    __table__ = Table(
        quoted_name("OUTLINES", quote=False),
        Strange.metadata,
        Column("id", Integer, primary_key=True),
    )


class Versioned(Strange):
    __tablename__ = "versioned"

    id: Mapped[int] = mapped_column(primary_key=True)
    xmin: Mapped[str] = mapped_column(String, system=True)


async def test_names_are_compared_as_the_database_does(ship: Backstay) -> None:
    """In any case of letters; computed and system columns count as present, too."""
    shown: list[Any] = [Shape, Outline]
    if not ship.database.options.is_sqlite:
        shown.append(Versioned)
    async with ship.database.writer.begin() as connection:
        await connection.run_sync(Strange.metadata.create_all)
    assert await absence_faults(ship.database, shown) == ()
