"""Shows that the migrations of the guide do what the guide says, with rows, on both databases."""

import re
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from sqlalchemy import Connection, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.engine import writer_engine
from backstay.db.migrations.linting import lint
from backstay.db.migrations.runner import History
from backstay.db.options import EngineOptions
from tests.db.shop import Shop, declared
from tests.db.test_migrate import execute, head
from tests.guides import page

pytestmark = pytest.mark.anyio

BLOCKS = re.findall(r"^```python\n(.*?)^```", page("safe-migrations"), re.DOTALL | re.M)
RENAMING = [block for block in BLOCKS if "def upgrade" in block]
RENAMING, INDEX = RENAMING[:3], RENAMING[3]
COLUMNS = [block for block in BLOCKS if "mapped_column" in block]
FIRST = """
def upgrade():
    op.create_table(
        "customers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(200)),
    )

def downgrade():
    op.drop_table("customers")
"""


def release(options: EngineOptions, folder: Path, *blocks: str) -> Shop:
    """The shop with its first migration, and those of the guide that it has by then."""
    made = Shop(options, History("shop", folder))
    made.with_file("0001_customers.py", FIRST, None, head())
    for number, block in enumerate(blocks, 2):
        made.with_file(f"{number:04d}_change.py", f"\n{block}", f"shop_{number - 1:04d}")
    return made


def model(release: int) -> Any:
    """The model of `customers` in a release, as the guide prints it."""
    columns = ["name: Mapped[str] = mapped_column(String(200))\n", *COLUMNS, COLUMNS[-1]]
    names = {"Mapped": Mapped, "mapped_column": mapped_column, "String": String}
    exec(
        "class Customer(Base):\n    __tablename__ = 'customers'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    email: Mapped[str | None] = mapped_column(String(200))\n"
        + indent(columns[release], "    "),
        names | {"Base": type("Base", (DeclarativeBase,), {})},
        names,
    )
    return names["Customer"]


async def runs(options: EngineOptions, release: int) -> None:
    """Add and read a customer as the code of a release does."""
    customer = model(release)
    written = {name: "Bob" for name in ("name", "full_name") if hasattr(customer, name)}

    def use(connection: Connection) -> None:
        session = Session(connection)
        session.add(made := customer(**written))
        session.flush()
        session.expire_all()
        assert {name: getattr(made, name) for name in written} == written
        everybody = session.query(customer).all()
        assert all(getattr(each, "full_name", None) or each.name for each in everybody)

    engine = writer_engine(options)
    async with engine.begin() as connection:
        await connection.run_sync(use)
    await engine.dispose()


WORKS = {
    # by the release whose schema it is: which code works with it
    1: [True, True, True, True],
    2: [False, True, True, True],
    3: [False, False, True, True],
}

LEFT: dict[int, list[str]] = {1: [], 2: ["The column customers.name"], 3: []}


async def test_a_column_is_renamed_over_three_releases(
    options: EngineOptions, tmp_path: Path
) -> None:
    releases = [release(options, tmp_path / str(n), *RENAMING[:n]) for n in range(4)]
    await releases[0].upgrade()
    await execute(options, "INSERT INTO customers (id, name) VALUES (1, 'Ann')")
    for number, expected in WORKS.items():
        await releases[number].upgrade()
        works = ["this version works" in await each.sentence() for each in releases[:number]]
        assert works == expected[:number]
        assert await releases[number].sentence() == ""
        for each in (n for n in range(number + 1) if expected[n]):
            await runs(options, each)
        with declared(model(number).__table__.to_metadata(Base.metadata)):
            problems, remarks = await releases[number].examine()
        assert problems == []
        assert [told.partition(" is")[0] for told in remarks] == LEFT[number]
    database = Database(options)
    assert await database.reader.scalar(text("SELECT full_name FROM customers")) == "Ann"
    await database.dispose()
    assert await releases[3].downgrade("shop@0003") == ["shop_0004"]
    assert "this version works" in await releases[1].sentence()
    assert lint(releases[3].histories, releases[3].history) == []


async def test_the_index_of_the_guide_is_built(options: EngineOptions, tmp_path: Path) -> None:
    shop = release(options, tmp_path / "versions", INDEX)
    assert (await shop.upgrade())[-1] == "shop_0002"
    assert lint(shop.histories, shop.history) == []
    assert await shop.downgrade("shop@-1") == ["shop_0002"]
    assert await shop.upgrade() == ["shop_0002"]
