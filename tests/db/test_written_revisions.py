"""Shows that revisions written for a project run on both databases and hold what is its own."""

import os
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, func

from backstay.db import migrate
from backstay.db.base import Base
from backstay.db.fixed_point import FixedPoint
from backstay.db.migrations.runner import PLATFORM, History, MigrationError
from backstay.db.options import EngineOptions
from tests.db.shop import Shop, async_url, declared, orders, platform_of
from tests.db.test_migrate import execute, head

pytestmark = pytest.mark.anyio

TYPES = """
from sqlalchemy import Numeric, String
from sqlalchemy.types import TypeDecorator

class Money(TypeDecorator):
    impl = Numeric(12, 2)
    cache_ok = True

class Code(TypeDecorator):
    impl = String
    cache_ok = True

class Weight(TypeDecorator):
    impl = String
    cache_ok = True

    def __init__(self, unit):
        super().__init__(8)
        self.unit = unit
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def shop(seeded_url: str, tmp_path: Path) -> Shop:
    """The shop before its first revision, on a database that is migrated."""
    options = EngineOptions(async_url(seeded_url))
    return Shop(options, History("shop", tmp_path / "versions"))


async def up_down_up(shop: Shop, name: str) -> None:
    assert await shop.upgrade() == [name]
    assert await shop.examine() == ([], [])
    assert await shop.downgrade("shop@-1") == [name]
    assert await shop.upgrade() == [name]
    assert await shop.examine() == ([], [])


async def test_each_written_revision_runs_up_down_up(shop: Shop, stack: ExitStack) -> None:
    made = orders()
    stack.enter_context(declared(made))
    first = (await shop.write('Orders: "all" of them\\.')).read_text()
    assert f"depends_on = '{head()}'" in first
    assert "branch_labels = ('shop',)" in first
    assert "sa.DateTime(timezone=True)" in first
    assert "server_default=sa.true()" in first
    assert "test_" not in first
    await up_down_up(shop, "shop_0001")
    made.append_column(Column("note", String(50), index=True))
    second = await shop.write("Notes")
    assert second.name == "0002_notes.py"
    assert f"depends_on = '{head()}'" in second.read_text()
    await up_down_up(shop, "shop_0002")
    with pytest.raises(MigrationError, match="nothing to write"):
        await shop.write("Nothing")
    with pytest.raises(MigrationError, match="nothing to write"):
        await migrate.revision(shop.options, "Nothing of ours", histories=shop.histories)


async def test_types_of_the_project_are_imported(
    shop: Shop, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"shop_types_{'lite' if shop.options.is_sqlite else 'pg'}"
    (tmp_path / f"{name}.py").write_text(TYPES)
    monkeypatch.syspath_prepend(tmp_path)
    own = import_module(name)
    prices = Table(
        "prices",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("amount", own.Money),
        Column("code", own.Code(12)),
        Column("weight", own.Weight("kg")),
    )
    stack.enter_context(declared(prices))
    written = (await shop.write("Prices")).read_text()
    assert f"import {name}\n\nrevision" in written
    for call in ("Money()", "Code(length=12)", "Weight('kg')"):
        assert f"{name}.{call}" in written
    await up_down_up(shop, "shop_0001")


async def test_a_further_member_of_a_status_needs_no_migration(
    shop: Shop, stack: ExitStack
) -> None:
    def parcels(status: Any) -> Table:
        """The table with the columns of `Mapped[Money]` and `Mapped[Status]`."""
        columns: Any = (Column("price", FixedPoint(9, 2), nullable=False), Column("status", status))
        return Table("parcels", Base.metadata, Column("id", Integer, primary_key=True), *columns)

    kind: Any = Base.registry.type_annotation_map[StrEnum]
    few, more = (StrEnum("State", names) for names in (["HERE"], ["HERE", "AWAY"]))
    with declared(parcels(kind._resolve_for_python_type(few, few, few))):
        written = (await shop.write("Parcels")).read_text()
        assert "sa.Column('price', sa.BigInteger(), nullable=False)" in written
        assert "native_enum=False, length=64" in written
        await up_down_up(shop, "shop_0001")
    stack.enter_context(declared(parcels(kind._resolve_for_python_type(more, more, more))))
    assert await shop.examine() == ([], [])


async def test_enumerations_of_two_tables_share_a_type(shop: Shop, stack: ExitStack) -> None:
    made = orders()
    stack.enter_context(declared(made))
    await shop.write("Orders")
    await shop.upgrade()
    refunds = Table(
        "refunds",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("before", made.c.status.type.copy()),
    )
    stack.enter_context(declared(refunds))
    await shop.write("Refunds")
    await up_down_up(shop, "shop_0002")
    await shop.downgrade("shop@base")
    assert await shop.upgrade() == ["shop_0001", "shop_0002"]


async def test_an_index_of_an_expression_outlives_a_rebuilt_table(
    shop: Shop, stack: ExitStack
) -> None:
    """SQLite, where tables are rebuilt, can describe no such index."""
    made = orders()
    stack.enter_context(declared(made))
    await shop.write("Orders")
    await shop.upgrade()
    made.c.parts.nullable = True
    made.append_constraint(Index("ix_orders_upper_number", func.upper(made.c.number)))
    assert len((await shop.examine())[0]) == 2
    await shop.write("Parts")
    await up_down_up(shop, "shop_0002")


async def test_what_nobody_declared_is_never_dropped(shop: Shop, stack: ExitStack) -> None:
    """What a revision made and the models lost is; what an operator made is not."""
    made = orders(
        Column("note", String(50)),
        Column("extra", Integer, index=True),
        Column("needed", Integer, nullable=False),
    )
    lost = Index("ix_orders_note", made.c.note)
    gone = Table("gone", Base.metadata, Column("id", Integer, primary_key=True))
    with declared(made, gone):
        await shop.write("Orders")
        await shop.upgrade()
    await execute(
        shop.options,
        "CREATE INDEX ix_operator ON orders (number)",
        "ALTER TABLE orders ADD COLUMN remark VARCHAR(9)",
        "CREATE INDEX ix_of_users ON users (name)",
        "CREATE TABLE reports (id INTEGER)",
        "CREATE INDEX ix_reports ON reports (id)",
    )
    stack.enter_context(declared(orders(Column("note", String(50)))))
    problems, remarks = await shop.examine()
    assert problems == [
        "Models and database differ, remove column: orders.needed.",
        f"Models and database differ, remove index: {lost.name}.",
        "Models and database differ, remove table: gone.",
    ]
    assert remarks.pop(0).startswith("The column orders.extra is in no model any more: it is left")
    assert [told.partition(" belongs")[0] for told in remarks] == [
        "The column remark of orders",
        "The index ix_operator of orders",
        "The table reports",
        "The index ix_of_users of users",
    ]
    written = (await shop.write("Less")).read_text()
    assert not any(each in written for each in ("remark", "operator", "reports", "users"))
    assert await shop.upgrade() == ["shop_0002"]
    assert await shop.examine() == ([], remarks)
    assert await shop.downgrade("shop@-1") == ["shop_0002"]
    assert await shop.upgrade() == ["shop_0002"]
    assert await shop.examine() == ([], remarks)


async def test_what_the_project_adds_to_the_platforms_tables_stays(shop: Shop) -> None:
    body = "def upgrade():\n    op.create_index('ix_users_mine', 'users', ['name'])"
    shop.with_file("0001_index.py", body, None, head())
    await shop.upgrade()
    assert await shop.examine() == ([], [])


async def test_migrations_that_cannot_run_on_sqlite_drop_nothing(shop: Shop) -> None:
    if shop.options.is_sqlite:
        pytest.skip("these migrations are of PostgreSQL")
    body = (
        "def upgrade():\n    op.execute('CREATE TABLE logs (at TIMESTAMPTZ DEFAULT now()::date)')"
    )
    shop.with_file("0001_logs.py", body, None, head())
    await shop.upgrade()
    problems, remarks = await shop.examine()
    assert problems == []
    assert remarks[0].startswith("The table logs belongs to no model")
    assert "shop cannot be run on SQLite: " in remarks[1]
    with pytest.raises(MigrationError, match="nothing to write"):
        await shop.write("Nothing")


async def test_an_older_platform_is_named_in_older_revisions(
    options: EngineOptions, tmp_path: Path
) -> None:
    older = platform_of(len(list(PLATFORM.folder.glob("0*.py"))) - 1, tmp_path / "older")
    await migrate.upgrade(options, histories=(older,))
    shop = Shop(options, History("shop", tmp_path / "versions"), older)
    first = await shop.write("By hand", empty=True)
    assert head() not in first.read_text()
    await shop.upgrade()
    shop = Shop(options, shop.history)
    with pytest.raises(MigrationError, match="behind this version: run"):
        await shop.write("Too early")
    await shop.upgrade()
    assert head() in (await shop.write("By hand", empty=True)).read_text()
    assert await shop.upgrade() == ["shop_0002"]
    assert await shop.sentence() == ""


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_a_foreign_key_to_nowhere_gives_a_sentence(shop: Shop, stack: ExitStack) -> None:
    nowhere = Column("id", Integer, ForeignKey("nowhere.id"), primary_key=True)
    stack.enter_context(declared(Table("lost", Base.metadata, nowhere)))
    with pytest.raises(MigrationError, match=r"'nowhere' .*: list the feature that has this"):
        await shop.write("Lost")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("message", ["", "...", " \n"])
async def test_a_revision_needs_a_message(shop: Shop, message: str) -> None:
    with pytest.raises(MigrationError, match="in a few words"):
        await shop.write(message, empty=True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_two_ends_of_a_history_are_refused(shop: Shop) -> None:
    shop.with_file("0001_a.py", "", None, head())
    shop.with_file("0002_b.py", "", "shop_0001")
    shop.with_file("0003_c.py", "", "shop_0001")
    with pytest.raises(MigrationError, match="shop ends in shop_0002 and shop_0003: let"):
        await shop.write("More", empty=True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_nothing_is_written_into_an_installed_package(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = Path(sysconfig.get_paths()["purelib"]) / "shop" / "migrations"
    with pytest.raises(MigrationError, match="belongs to an installed package, whose"):
        await Shop(shop.options, History("shop", installed)).write("No", empty=True)
    assert not installed.parent.exists()
    (tmp_path / "file").touch()
    with pytest.raises(MigrationError, match=r"written into .*file: File exists"):
        await Shop(shop.options, History("shop", tmp_path / "file")).write("No", empty=True)
    folder, access = shop.history.folder, os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder and access(path, mode))
    with pytest.raises(MigrationError, match=r"versions: Permission denied\."):
        await shop.write("No", empty=True)
    long = History("s" * 28, tmp_path / "versions")
    with pytest.raises(MigrationError, match="too long to name revisions: it may have 27"):
        await Shop(shop.options, long).write("No", empty=True)
