"""Steps for scenarios of bulk actions: start one, read it, make what it is about."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from backstay.composition import Backstay
from backstay.core.clock import new_id, utc_now
from backstay.db.base import SecondsFromNow
from backstay.features.items.model import Item
from backstay.jobs.tables import Job
from backstay.testing import Person
from tests.features.steps import API, execute

BULK = f"{API}/system/bulk"


async def items_of(backstay: Backstay, person: Person, number: int) -> list[str]:
    """The ids of so many new items of a person."""
    made = [new_id() for _ in range(number)]
    async with backstay.database.writer.begin() as connection:
        rows = [_row(each, UUID(person.id)) for each in made]
        await connection.execute(Item.__table__.insert(), rows)  # type: ignore[attr-defined]
    return [str(each) for each in made]


def _row(item_id: UUID, owner_id: UUID) -> dict[str, Any]:
    now = utc_now()
    row = {"id": item_id, "owner_id": owner_id, "title": "an oar", "version": 1}
    return row | {"created_at": now, "updated_at": now}


async def start(person: Person, operation: str, ids: Sequence[str], **body: Any) -> str:
    """Start a bulk action; its id."""
    given = {"operation": operation, "ids": ids, "body": body}
    answer = await person.client.post(BULK, json=given)
    assert answer.status_code == 202, answer.text
    assert answer.json()["rows"] == len(ids)
    bulk_id: str = answer.json()["id"]
    assert answer.headers["Location"] == f"{BULK}/{bulk_id}"
    return bulk_id


async def read(person: Person, bulk_id: str, **query: str) -> dict[str, Any]:
    answer = await person.client.get(f"{BULK}/{bulk_id}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def states(found: dict[str, Any]) -> dict[str, int]:
    """How many rows there are of each state that some are in."""
    return {state: count for state, count in found["states"].items() if count}


async def left(backstay: Backstay) -> int:
    """How many items are not deleted."""
    statement = select(func.count()).select_from(Item).where(Item.deleted_at.is_(None))
    return int((await execute(backstay, statement)).scalar_one())


async def hold(backstay: Backstay, target: str) -> None:
    """Let a row, and those behind it, wait for an hour, or until everything is due."""
    later = update(Job).where(Job.unique_key.endswith(target), Job.finished_at.is_(None))
    await execute(backstay, later.values(due_at=SecondsFromNow(3600.0)))
