"""Shows that commands which end together share a commit, and none the fault of another."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select
from sqlalchemy.exc import OperationalError

from backstay.core.clock import new_id, utc_now
from backstay.core.context import Write
from backstay.core.errors import AppError
from backstay.db.database import Database
from backstay.db.group_commit import GroupCommit
from backstay.db.session import Transaction
from backstay.db.transaction import _finish_group
from tests.db.conftest import Commands
from tests.db.tables import Book, TitleTaken

pytestmark = pytest.mark.anyio

INSERT = insert(Book.__table__).inline()  # type: ignore[arg-type]


def a_book(title: str) -> Write:
    now = utc_now()
    given = {"id": new_id(), "title": title, "version": 1, "created_at": now, "updated_at": now}
    return INSERT, given


async def count(database: Database) -> int:
    return int(await database.reader.scalar(select(func.count()).select_from(Book)))


@contextmanager
def commits(database: Database) -> Iterator[list[Any]]:
    seen: list[Any] = []

    def note(connection: object) -> None:
        seen.append(connection)

    event.listen(database.writer.sync_engine, "commit", note)
    try:
        yield seen
    finally:
        event.remove(database.writer.sync_engine, "commit", note)


async def test_commands_that_end_together_share_a_commit(database: Database) -> None:
    together = GroupCommit(database.writer, _finish_group)
    with commits(database) as seen:
        ends = [together([a_book(str(number))], None) for number in range(10)]
        assert await asyncio.gather(*ends) == [True] * 10
    assert len(seen) == 1
    assert await count(database) == 10


async def test_after_a_fault_nothing_of_the_group_is_written(database: Database) -> None:
    together = GroupCommit(database.writer, _finish_group)
    ends = [together([a_book(title)], None) for title in ("a", "b", "b")]
    assert await asyncio.gather(*ends) == [False] * 3
    assert await count(database) == 0


async def test_a_failing_command_harms_none_that_ends_with_it(
    database: Database, command: Commands
) -> None:
    async def add(title: str) -> None:
        async def work(session: Transaction) -> None:
            await session.write_soon(*a_book(title))

        await command(work)

    found = await asyncio.gather(*map(add, "abbc"), return_exceptions=True)
    assert [type(error) for error in found if error is not None] == [TitleTaken]
    assert await count(database) == 3


async def test_a_failed_commit_fails_all_and_keeps_nothing(database: Database) -> None:
    together = GroupCommit(database.writer, _finish_group)

    def fail(_: object) -> None:
        raise OperationalError("COMMIT", None, Exception("it cannot"))

    event.listen(database.writer.sync_engine, "commit", fail)
    ends = [together([a_book(title)], None) for title in "ab"]
    found = await asyncio.gather(*ends, return_exceptions=True)
    event.remove(database.writer.sync_engine, "commit", fail)
    assert all(isinstance(error, AppError) for error in found)
    assert await together([a_book("c")], None)
    assert await count(database) == 1
