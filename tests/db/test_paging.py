"""Shows that both kinds of paging agree in any order, and that no cursor can be altered."""

import random
from typing import Any

import pytest
from sqlalchemy import delete, event, text

from backstay.core.errors import Forbidden, Invalid
from backstay.core.permissions import Scope, Source
from backstay.core.principal import Grant, Principal
from backstay.db.database import Database
from tests.db.books import ANN, CURSORS, ListBooks, ask, book, pages, slices, store
from tests.db.tables import Book

pytestmark = pytest.mark.anyio

SORTS = [
    "",
    "pages",
    "-pages",
    "pages,title",
    "-pages,-title",
    "pages,-title",
    "-price,copies,mood,-created_at",
    "mood,is_printed",
    "-is_printed,created_at",
    "id",
    "-id",
    "pages,id",
    "pages,-id",
    "-id,pages",
]


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_by_cursor_sees_what_offsets_show(many: Database, sort: str) -> None:
    whole = await pages(many, ListBooks.model_validate({"sort": sort, "per_page": 1000}))
    assert len(whole.items) == 60
    chance = random.Random(sort)
    query = {"sort": sort, "limit": 7}
    seen = [await slices(many, ListBooks.model_validate(query))]
    while (cursor := seen[-1].next_cursor) is not None and len(seen) < 9:
        seen.append(await slices(many, ListBooks.model_validate(query | {"cursor": cursor})))
    assert [row for page in seen for row in page.items] == list(whole.items)
    here = 0
    for _ in range(25):
        here, cursor = (
            (here + 1, seen[here].next_cursor)
            if chance.random() < 0.5
            else (here - 1, seen[here].prev_cursor)
        )
        if cursor is None:
            assert here in {-1, len(seen)}
            here = min(max(here, 0), len(seen) - 1)
            continue
        named = {"sort": sort} if chance.random() < 0.5 else {}
        page = await slices(many, ListBooks.model_validate({"limit": 7, "cursor": cursor} | named))
        assert page.items == seen[here].items
        seen[here] = page


@pytest.mark.parametrize("sort", SORTS)
async def test_pages_by_number_follow_each_other(many: Database, sort: str) -> None:
    whole = await pages(many, ListBooks.model_validate({"sort": sort, "per_page": 1000}))
    parts = [
        await pages(many, ListBooks.model_validate({"sort": sort, "per_page": 25, "page": n}))
        for n in (1, 2, 3, 4)
    ]
    assert [row for page in parts for row in page.items] == list(whole.items)
    assert [page.total for page in parts] == [60] * 4
    assert [page.pages for page in parts] == [3] * 4
    assert [page.has_more for page in parts] == [True, True, False, False]


async def test_a_page_without_total_counts_nothing(many: Database) -> None:
    asked: list[str] = []
    event.listen(
        many.read_engine.sync_engine,
        "before_cursor_execute",
        lambda *arguments: asked.append(arguments[2]),
    )
    page = await pages(many, ListBooks(total=False))
    assert (page.total, page.pages, page.has_more) == (None, None, True)
    assert len(asked) == 1
    assert (await pages(many, ListBooks(page=3, per_page=25))).total == 60
    assert len(asked) == 2


async def test_the_newest_comes_first(database: Database) -> None:
    await store(database, [book(number) for number in range(3)])
    page = await pages(database, ListBooks())
    assert [row.title for row in page.items] == ["Book 002", "Book 001", "Book 000"]
    assert (page.page, page.per_page, page.total, page.has_more) == (1, 20, 3, False)


async def test_an_empty_list_has_neither_pages_nor_cursors(database: Database) -> None:
    page = await pages(database, ListBooks())
    assert (page.items, page.total, page.pages, page.has_more) == ((), 0, 0, False)
    part = await slices(database, ListBooks(limit=3))
    assert (part.items, part.next_cursor, part.prev_cursor) == ((), None, None)


async def test_a_cursor_whose_rows_are_gone_still_leads_back(database: Database) -> None:
    await store(database, [book(number) for number in range(4)])
    first = await slices(database, ListBooks(limit=2))
    async with database.writer.begin() as connection:
        gone = [row.id for row in (await slices(database, ListBooks(limit=4))).items[2:]]
        await connection.execute(delete(Book).where(Book.id.in_(gone)))
    beyond = await slices(database, ListBooks(limit=2, cursor=first.next_cursor))
    assert (beyond.items, beyond.next_cursor) == ((), None)
    back = await slices(database, ListBooks(limit=2, cursor=beyond.prev_cursor))
    assert back.items == first.items


async def test_a_cursor_belongs_to_its_list_and_its_sort(many: Database) -> None:
    cursor = (await slices(many, ListBooks(sort=("pages",), limit=3))).next_cursor
    with pytest.raises(Invalid, match="cursor: the cursor was made with another sort") as caught:
        await slices(many, ListBooks(sort=("-pages",), cursor=cursor))
    assert [fault.field for fault in caught.value.errors] == ["cursor"]
    foreign = CURSORS.sign(["ListShelves", [], False, []])
    unfit: list[Any] = [
        [],
        {},
        [1],
        ["ListBooks", [], 0, []],
        ["ListBooks", ["pages"], False, ["x", str(ANN)]],
        ["ListBooks", ["pages"], False, [1]],
        ["ListBooks", ["subtitle"], False, ["x", str(ANN)]],
    ]
    for faulty in ["", "x", foreign, *map(CURSORS.sign, unfit)]:
        with pytest.raises(Invalid):
            await slices(many, ListBooks(cursor=faulty))


async def test_a_cursor_is_no_way_around_a_field_rule(many: Database) -> None:
    cursor = (await slices(many, ListBooks(sort=("pages",), limit=3))).next_cursor
    denied = Grant(Scope.ANY, denied={Source.QUERY: frozenset({"pages"})})
    with pytest.raises(Forbidden):
        await slices(many, ListBooks(cursor=cursor), grant=denied)


@pytest.mark.parametrize("scope", Scope)
async def test_the_default_order_needs_no_sort(database: Database, scope: Scope) -> None:
    await store(database, [book(number, title=f"{number}") for number in range(4000)])
    async with database.writer.begin() as connection:
        await connection.execute(text("ANALYZE"))
    who = {"principal": Principal(user_id=ANN), "grant": Grant(scope)}
    cursor = (await slices(database, ListBooks(limit=3))).next_cursor
    for query in (ListBooks(total=False), ListBooks(limit=3), ListBooks(cursor=cursor)):
        plan = (await _plan(database, query, **who)).lower()
        assert "sort" not in plan
        assert "b-tree" not in plan
        assert "index" in plan or (scope is Scope.ANY and "scan test_books" in plan)


async def _plan(database: Database, query: ListBooks, **who: Any) -> str:
    asked: list[tuple[str, Any]] = []
    engine = database.read_engine.sync_engine

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    await ask(database, query, **who)
    event.remove(engine, "before_cursor_execute", note)
    prefix = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    async with database.read_engine.connect() as connection:
        statement, parameters = asked[0]
        return str((await connection.exec_driver_sql(prefix + statement, parameters)).all())
