"""Runs the guide of query recipes, block by block, so that it cannot go stale."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backstay.core.context import UnitOfWork
from backstay.core.permissions import Scope
from backstay.core.principal import Grant, Principal
from backstay.db import migrate
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.paging import Cursors, Paginator
from backstay.db.session import Transaction
from backstay.features.items.model import Item
from backstay.features.users.model import User
from tests.db.conftest import Change, Commands, context

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "queries.md"


async def test_the_recipes_work(options: EngineOptions, database_kind: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    await migrate.upgrade(options)
    database = Database(options)
    with declared(f"guide_of_queries_{database_kind}") as module:
        names = await Commands(database)(lambda session: run(blocks, session, database, module))
    await database.dispose()
    assert names["summary"].title == "First draft!"
    assert (names["has_items"], names["living"]) == (True, 2)
    assert (names["renamed"], names["hidden"], names["removed"]) == (2, 2, 2)
    assert [row.title for row in names["titles"]] == ["Essay"]
    assert [view.size for view in names["sizes"]] == [5]
    assert [(view.title, view.owner) for view in names["owned"]] == [("Essay", "ann@example.org")]
    assert names["per_owner"] == [("ann@example.org", 1), ("ben@example.org", 0)]
    assert [view.title for view in names["page"].items] == ["Essay"]
    (order,) = names["detailed"].items
    assert [(line.product, str(line.price)) for line in order.lines] == [
        ("rope", "12.90"),
        ("hook", "12.90"),
    ]
    assert [(row.customer_name, str(row.total)) for row in names["found"].items] == [
        ("Ann", "25.80")
    ]
    assert names["one"] == order


@contextmanager
def declared(name: str) -> Iterator[ModuleType]:
    """A module for what the guide declares; its tables are taken out again."""
    known = set(Base.metadata.tables)
    sys.modules[name] = ModuleType(name)
    try:
        yield sys.modules[name]
    finally:
        del sys.modules[name]
        for table in set(Base.metadata.tables) - known:
            Base.metadata.remove(Base.metadata.tables[table])


async def run(
    blocks: list[str], session: Transaction, database: Database, module: ModuleType
) -> dict[str, Any]:
    """Execute the blocks in order, as if inside a handler; return the names that they define."""
    ann, ben = (User(email=f"{name}@example.org", password_hash="") for name in ("ann", "ben"))
    session.add_all([ann, ben])
    await session.flush()
    items = [Item(title=title, owner_id=ann.id) for title in ("First draft", "Essay")]
    session.add_all(items)
    await session.flush()
    principal, grant = Principal(user_id=ann.id), Grant(Scope.OWN)
    inside = context(Change(), principal)
    inside.unit_of_work = UnitOfWork(session)
    names = vars(module)
    names |= {
        "session": session,
        "reader": database.reader_of(inside),
        "principal": principal,
        "grant": grant,
        "paginate": Paginator(database.reader_of(inside), Cursors(b"k" * 32), principal, grant),
        "item_id": items[0].id,
    }
    known = set(Base.metadata.tables)
    for block in blocks:
        code = compile(block, str(PAGE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, names)
        if inspect.isawaitable(outcome):
            await outcome
        new = [Base.metadata.tables[name] for name in set(Base.metadata.tables) - known]
        await session.run_sync(
            lambda sync, new=new: Base.metadata.create_all(sync.connection(), tables=new)  # type: ignore[misc]
        )
    names["one"] = await names["get_order"](names["found"].items[0], names["reader"])
    return names
