"""Fixtures: the new rows of the audit trail, and the statements sent to the database."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event, select

from backstay.composition import Backstay
from backstay.db.activity import Activity
from tests.features.steps import Trail, execute
from tests.patient import settings, still_limits  # noqa: F401


@pytest.fixture
async def trail(backstay: Backstay) -> Trail:
    """The rows written since this fixture was made or last called, oldest first."""
    seen = set((await execute(backstay, select(Activity.id))).scalars())

    async def news() -> Sequence[Any]:
        await backstay.trail.settle()
        statement = select(*Activity.__table__.columns).order_by(Activity.id)
        rows = [row for row in await execute(backstay, statement) if row.id not in seen]
        seen.update(row.id for row in rows)
        return rows

    return news


@pytest.fixture
def statements(backstay: Backstay) -> list[str]:
    """The statements that are sent to the database."""
    asked: list[str] = []

    def remember(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    for engine in (backstay.database.read_engine, backstay.database.writer):
        event.listen(engine.sync_engine, "before_cursor_execute", remember)
    return asked
