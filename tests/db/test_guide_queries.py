"""Runs the guide of query recipes, block by block, so that it cannot go stale."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from backstay.core.context import UnitOfWork
from backstay.core.permissions import Scope
from backstay.core.principal import Grant, Principal
from backstay.db import migrate
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.db.paging import Cursors, Paginator
from backstay.db.session import Transaction
from backstay.features.items.model import Item
from backstay.features.users.model import User
from tests.db.conftest import Change, Commands, context

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "queries.md"


async def test_the_recipes_work(options: EngineOptions) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    await migrate.upgrade(options)
    database = Database(options)
    names = await Commands(database)(lambda session: run(blocks, session, database))
    await database.dispose()
    assert names["summary"].title == "First draft!"
    assert (names["has_items"], names["living"]) == (True, 2)
    assert (names["renamed"], names["hidden"], names["removed"]) == (2, 2, 2)
    assert [row.title for row in names["titles"]] == ["Essay"]
    assert [view.size for view in names["sizes"]] == [5]
    assert [(view.title, view.owner) for view in names["owned"]] == [("Essay", "ann@example.org")]
    assert names["per_owner"] == [("ann@example.org", 1), ("ben@example.org", 0)]
    assert [view.title for view in names["page"].items] == ["Essay"]


async def run(blocks: list[str], session: Transaction, database: Database) -> dict[str, Any]:
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
    names = {
        "session": session,
        "reader": database.reader_of(inside),
        "principal": principal,
        "grant": grant,
        "paginate": Paginator(database.reader_of(inside), Cursors(b"k" * 32), principal, grant),
        "item_id": items[0].id,
        "__name__": __name__,
    }
    for block in blocks:
        code = compile(block, str(PAGE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, names)
        if inspect.isawaitable(outcome):
            await outcome
    return names
