"""Shows that a copy has every row as the application sees it, and everything around the rows."""

import asyncio
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from backstay.db import migrate
from backstay.db.copying.sqlite_side import SqliteSide
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions
from tests.db.copies import KINDS, THINGS, Copies, asked, connected, digests, rows_of, thing
from tests.db.copy_kills import child, many, was_killed

pytestmark = pytest.mark.anyio


async def test_a_copy_of_a_copy_has_every_row(copies: Copies) -> None:
    """From each kind to each kind, the migrations of the project and its rows included."""
    source = await copies.filled("sqlite")
    chain = [source, *map(copies.new, ("postgresql", "postgresql", "sqlite", "sqlite"))]
    reports = [await copies.copy(a, b) for a, b in pairwise(chain)]
    rows, kinds = await rows_of(source), await rows_of(source, KINDS)
    assert (len(rows), kinds) == (5, [(3, "third"), (7, "made by a migration")])
    for target in chain[1:]:
        assert (await rows_of(target), await rows_of(target, KINDS)) == (rows, kinds)
        assert await migrate.state(target, copies.histories) is State.CURRENT
        await require_that_it_goes_on(target)
    assert digests(reports[0]) == digests(reports[2])
    assert [report.remarks for report in reports] == [[], [], [], []]


@pytest.mark.parametrize("moment", ["finish", "close"])
async def test_a_copy_stopped_at_its_end_is_whole(
    copies: Copies, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    source, target = await copies.filled("sqlite"), copies.new("sqlite")
    whole = getattr(SqliteSide, moment)

    async def stopped(side: SqliteSide, *arguments: object) -> None:
        running.cancel()
        await asyncio.sleep(0)
        await whole(side, *arguments)

    monkeypatch.setattr(SqliteSide, moment, stopped)
    running = asyncio.ensure_future(copies.copy(source, target))
    assert (await running).tables
    assert await migrate.state(target, copies.histories) is State.CURRENT


async def test_rows_of_postgresql_come_to_sqlite(copies: Copies) -> None:
    source, target, back = (
        await copies.filled("postgresql"),
        *map(copies.new, ("sqlite", "postgresql")),
    )
    there = await copies.copy(source, target)
    assert await rows_of(target) == await rows_of(source)
    assert digests(await copies.copy(target, back)) == digests(there)
    for each in (target, back):
        await require_that_it_goes_on(each)


async def require_that_it_goes_on(target: EngineOptions) -> None:
    """Numbers go on after the last one given, and triggers and foreign keys are there again."""
    async with connected(target) as connection:
        await connection.execute(KINDS.insert().values(name="next"))
        row = thing(1) | {"id": UUID(int=9), "name": "another", "parent_id": None}
        await connection.execute(THINGS.insert(), row)
    highest, name = await asked(
        target, "SELECT max(id) FROM kinds", "SELECT name FROM things WHERE lower(name) = 'another'"
    )
    assert (highest, name) == (41, "ANOTHER")
    if not target.is_sqlite:
        assert await asked(target, "SELECT nextval('jobs_position')") == [42]
        with pytest.raises(IntegrityError, match="fk_things_parent_id_things"):
            await asked(target, "UPDATE things SET parent_id = gen_random_uuid()")
    undo = "DELETE FROM things WHERE name = 'ANOTHER'", "DELETE FROM kinds WHERE id = 41"
    await asked(target, *undo)


async def test_a_killed_copy_goes_on_where_it_was(copies: Copies) -> None:
    source, target = await copies.filled("sqlite"), copies.new("postgresql")
    await many(source, 10_000)
    killed = child(source, target, copies.history.folder, steps=8)
    assert await asyncio.to_thread(was_killed, killed)
    assert await migrate.state(target, copies.histories) is State.UNFINISHED
    report = await copies.copy(source, target)
    assert await rows_of(target, KINDS) == await rows_of(source, KINDS)
    kept = {each.table: each.kept for each in report.tables}["kinds"]
    assert 0 < kept < 10_000
