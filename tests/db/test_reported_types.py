"""What a revision drops on SQLite, its other direction makes again on both databases."""

import pytest
from alembic.operations.ops import CreateTableOp, DowngradeOps, DropTableOp, UpgradeOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from backstay.db.base import UtcDateTime
from backstay.db.migrations.comparison import default_differs
from backstay.db.migrations.reported import in_order, understood


def test_a_dropped_table_comes_back_with_its_types() -> None:
    engine = create_engine("sqlite://")
    Table(
        "berths",
        MetaData(),
        Column("id", Uuid, primary_key=True),
        Column("seen_at", UtcDateTime),
        Column("is_open", Boolean, server_default=true(), nullable=False),
        Column("extra", JSON),
        Column("depth", Double),
        Column("code", String(8), server_default="x"),
    ).metadata.create_all(engine)
    reported = Table("berths", MetaData(), autoload_with=engine)
    back = DropTableOp.from_table(reported).reverse()
    assert isinstance(back, CreateTableOp)
    understood([back])
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = str(CreateTable(back.to_table()).compile(dialect=dialect))
    for column in (
        "id UUID NOT NULL",
        "seen_at TIMESTAMP WITH TIME ZONE",
        "is_open BOOLEAN DEFAULT true NOT NULL",
        "extra JSON",
        "depth DOUBLE PRECISION",
        "code VARCHAR(8) DEFAULT 'x'",
    ):
        assert column in made


def test_tables_are_dropped_after_those_that_refer_to_them() -> None:
    metadata = MetaData()
    parent = Table("orders", metadata, Column("id", Uuid, primary_key=True))
    child = Table("lines", metadata, Column("order_id", Uuid, ForeignKey("orders.id")))
    up = UpgradeOps([DropTableOp.from_table(each) for each in (parent, child)])
    down = DowngradeOps([CreateTableOp.from_table(each) for each in (child, parent)])
    in_order(up, down)
    assert [getattr(op, "table_name", "") for op in up.ops] == ["lines", "orders"]
    assert [getattr(op, "table_name", "") for op in down.ops] == ["orders", "lines"]


@pytest.mark.parametrize(
    ("default", "inspected", "told"),
    [
        ("it's", "'it''s'::character varying", False),
        ("it's", "'it''s'", False),
        ("it's", "'it'", True),
        ("it's", None, True),
        ("its", "'its'", None),
    ],
)
def test_defaults_with_quotes_are_compared(
    default: str, inspected: str | None, told: bool | None
) -> None:
    column = Column("code", String(8), server_default=default)
    context = MigrationContext.configure(dialect_name="postgresql")
    assert default_differs(context, column, column, inspected, None, None) is told
