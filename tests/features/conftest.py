"""The audit trail as scenarios read it."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.db.activity import Activity
from tests.features.steps import Trail, execute


@pytest.fixture
async def trail(backstay: Backstay) -> Trail:
    """The rows that were written since this fixture was made or asked last, oldest first."""
    seen = set((await execute(backstay, select(Activity.id))).scalars())

    async def news() -> Sequence[Any]:
        await backstay.trail.settle()
        statement = select(*Activity.__table__.columns).order_by(Activity.id)
        rows = [row for row in await execute(backstay, statement) if row.id not in seen]
        seen.update(row.id for row in rows)
        return rows

    return news
