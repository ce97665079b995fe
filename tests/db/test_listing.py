"""Shows that both kinds of paging agree, on both databases, and that nothing leaks through them."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import and_, bindparam, delete, event, insert, join, text

from backstay.core.clock import new_id, utc_now
from backstay.core.errors import Forbidden, Invalid
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import PUBLIC, FromPath, Scope, Source, View
from backstay.core.principal import STRANGER, UNLIMITED, Grant, Principal
from backstay.db.cursors import Cursors
from backstay.db.listing import Listing
from backstay.db.session import Database
from tests.db.conftest import Commands
from tests.db.tables import Book, Mood, Shelf

pytestmark = pytest.mark.anyio


class BookSummary(View):
    id: UUID
    title: str
    pages: int
    is_printed: bool


class ListBooks(ListQuery[BookSummary]):
    permission = PUBLIC
    sortable = ("title", "pages", "copies", "price", "mood", "created_at", "is_printed", "id")
    searchable = ("title", "subtitle")

    title: Text | None = None
    subtitle: Text | None = None
    pages: Range[int] | None = None
    copies: Range[int] | None = None
    price: Range[Decimal] | None = None
    mood: Equals[Mood] | None = None
    printed_at: Range[datetime] | None = None
    owner_id: Equals[UUID] | None = None
    is_printed: Equals[bool] | None = None
    is_deleted: Equals[bool] | None = None


BOOKS = Listing(
    ListBooks,
    Book,
    BookSummary,
    owner=Book.owner_id,
    columns={"is_printed": Book.printed_at.is_not(None)},
)
CURSORS = Cursors(b"k" * 32)
ANN, BEN = new_id(), new_id()
FOREVER = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)


def book(number: int, **values: Any) -> dict[str, Any]:
    rows = {
        "id": new_id(),
        "title": f"Book {number:03}",
        "subtitle": None,
        "pages": 0,
        "copies": 0,
        "price": Decimal(0),
        "mood": Mood.GAY,
        "printed_at": None,
        "owner_id": ANN if number % 2 else BEN,
        "created_at": utc_now(),
        "updated_at": utc_now(),
        "version": 1,
        "deleted_at": None,
    }
    return rows | values


async def store(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    async with database.writer.begin() as connection:
        await connection.execute(insert(Book), rows)


async def pages(database: Database, query: ListBooks, **who: Any) -> Page[BookSummary]:
    page = await ask(database, query, **who)
    assert isinstance(page, Page)
    return page


async def slices(database: Database, query: ListBooks, **who: Any) -> CursorPage[BookSummary]:
    page = await ask(database, query, **who)
    assert isinstance(page, CursorPage)
    return page


async def ask(
    database: Database,
    query: ListBooks,
    principal: Principal = STRANGER,
    grant: Grant = UNLIMITED,
) -> Page[BookSummary] | CursorPage[BookSummary]:
    return await BOOKS.fetch(database.reader, query, principal, grant, CURSORS)


async def titles(database: Database, **asked: Any) -> list[str]:
    page = await ask(database, ListBooks.model_validate(asked))
    return sorted(row.title for row in page.items)


@pytest.fixture
async def many(database: Database) -> Database:
    """Sixty books full of ties."""
    chance = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        book(
            number,
            title=f"Book {chance.choice('aAbBéÉ')} {number}",
            pages=chance.randrange(4),
            copies=chance.choice([0, 2**40]),
            price=Decimal(chance.choice(["1.10", "2.20", "0.30"])),
            mood=chance.choice(list(Mood)),
            printed_at=chance.choice([None, start]),
            created_at=start + timedelta(microseconds=chance.randrange(5)),
        )
        for number in range(60)
    ]
    chance.shuffle(rows)
    await store(database, rows)
    return database


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
    while (cursor := seen[-1].next_cursor) is not None:
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


async def test_filters(database: Database) -> None:
    printed = datetime(2026, 3, 1, tzinfo=UTC)
    await store(
        database,
        [
            book(0, title="100% Wool", pages=10, copies=2**40, mood=Mood.GRIM),
            book(1, title="under_score", pages=20, subtitle="A/B\\C", printed_at=printed),
            book(2, title="Élan", pages=30, price=Decimal("9.99")),
            book(3, title="Gone", deleted_at=utc_now()),
        ],
    )
    wool, under, elan, gone = "100% Wool", "under_score", "Élan", "Gone"
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [wool, under, elan]),
        ({"title": {"eq": wool}}, [wool]),
        ({"title": {"in": "100% Wool,Élan"}}, [wool, elan]),
        ({"title": {"contains": "%"}}, [wool]),
        ({"title": {"contains": "_"}}, [under]),
        ({"title": {"contains": "WOOL"}}, [wool]),
        ({"title": {"contains": "éL"}}, [elan]),
        ({"subtitle": {"contains": "\\"}}, [under]),
        ({"subtitle": {"contains": "a/b"}}, [under]),
        ({"subtitle": {"isnull": True}}, [wool, elan]),
        ({"subtitle": {"isnull": False}}, [under]),
        ({"pages": {"gte": 20}}, [under, elan]),
        ({"pages": {"gte": 11, "lte": 29}}, [under]),
        ({"pages": {"in": ()}}, []),
        ({"copies": {"gte": 2**33}}, [wool]),
        ({"price": {"gte": Decimal("9.99")}}, [elan]),
        ({"mood": {"eq": Mood.GRIM}}, [wool]),
        ({"mood": {"in": "grim,gay"}}, [wool, under, elan]),
        ({"printed_at": {"gte": printed}}, [under]),
        ({"printed_at": {"lte": FOREVER}}, [under]),
        ({"owner_id": {"eq": BEN}}, [wool, elan]),
        ({"is_printed": {"eq": True}}, [under]),
        ({"is_printed": {"eq": False}}, [wool, elan]),
        ({"is_deleted": {"eq": True}}, [gone]),
        ({"is_deleted": {"in": "true,false"}}, [wool, under, elan, gone]),
        ({"q": "wool"}, [wool]),
        ({"q": "B\\c"}, [under]),
        ({"q": "e", "pages": {"lte": 29}}, [under]),
    ]
    for asked, found in expected:
        assert await titles(database, **asked) == sorted(found), asked
        assert await titles(database, **asked, limit=10) == sorted(found), asked


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"title": {"eq": "a\0"}}, "title"),
        ({"title": {"contains": "\0"}}, "title__contains"),
        ({"title": {"in": ["a", "\0"]}}, "title__in"),
        ({"q": "\0"}, "q"),
        ({"pages": {"gte": 2**31}}, "pages__gte"),
        ({"pages": {"lte": -(2**31) - 1}}, "pages__lte"),
        ({"copies": {"eq": 2**63}}, "copies"),
        ({"printed_at": {"gte": datetime(2026, 1, 1)}}, "printed_at__gte"),
        ({"printed_at": {"lte": "9999-12-31T23:59:59-01:00"}}, "printed_at__lte"),
    ],
)
async def test_a_value_that_no_column_can_hold_is_refused(
    database: Database, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await titles(database, **asked)
    assert [fault.field for fault in caught.value.errors] == [field]


async def test_own_scope_shows_own_rows_only(many: Database) -> None:
    ann, own = Principal(user_id=ANN), Grant(Scope.OWN)
    mine = await pages(many, ListBooks(owner_id=Equals[UUID](eq=ANN)))
    page = await pages(many, ListBooks(), principal=ann, grant=own)
    assert (page.items, page.total) == (mine.items, 30)
    others = await pages(many, ListBooks(owner_id=Equals[UUID](eq=BEN)), principal=ann, grant=own)
    assert others.total == 0
    cursor = (await slices(many, ListBooks(limit=50))).next_cursor
    beyond = await slices(many, ListBooks(cursor=cursor, limit=50), principal=ann, grant=own)
    assert {row.id for row in beyond.items} < {
        row.id
        for row in (await pages(many, ListBooks(per_page=60), principal=ann, grant=own)).items
    }


class ListShelves(ListQuery[BookSummary]):
    permission = PUBLIC


class ListOwnersBooks(ListQuery[BookSummary]):
    permission = PUBLIC
    user_id: FromPath[UUID]


async def test_without_an_owner_nothing_is_own(many: Database) -> None:
    ownerless = Listing(
        ListShelves, Book, BookSummary, columns={"is_printed": Book.printed_at.is_not(None)}
    )
    page = await ownerless.fetch(
        many.reader, ListShelves(), Principal(user_id=ANN), Grant(Scope.OWN), CURSORS
    )
    assert page.items == ()


async def test_a_path_field_and_further_parameters_narrow_the_list(many: Database) -> None:
    listing = Listing(
        ListOwnersBooks,
        Book,
        BookSummary,
        where=and_(Book.owner_id == bindparam("user_id"), Book.pages >= bindparam("least")),
        columns={"is_printed": Book.printed_at.is_not(None)},
    )
    page = await listing.fetch(
        many.reader, ListOwnersBooks(user_id=BEN), STRANGER, UNLIMITED, CURSORS, {"least": 2}
    )
    expected = await pages(many, ListBooks(owner_id=Equals[UUID](eq=BEN), pages=Range[int](gte=2)))
    assert page == expected


class ShelvedBook(View):
    id: UUID
    title: str
    shelf: str


class ListShelvedBooks(ListQuery[ShelvedBook]):
    permission = PUBLIC
    sortable = ("shelf",)
    searchable = ("shelf",)
    shelf: Text | None = None


async def test_a_list_may_join_tables(database: Database, command: Commands) -> None:
    listing = Listing(
        ListShelvedBooks,
        Book,
        ShelvedBook,
        source=join(Book, Shelf, Book.shelf_id == Shelf.id),
        columns={"shelf": Shelf.name},
    )

    async def fill(session: Any) -> None:
        for name in "CAB":
            shelf = Shelf(name=name)
            session.add(shelf)
            await session.flush()
            session.add_all(Book(title=f"{name}{n}", shelf_id=shelf.id) for n in range(2))

    await command(fill)
    await store(database, [book(0)])
    query = ListShelvedBooks(sort=("shelf",), limit=4, shelf=Text.model_validate({"in": "A,B,C"}))
    page = await listing.fetch(database.reader, query, STRANGER, UNLIMITED, CURSORS)
    assert isinstance(page, CursorPage)
    assert [row.title for row in page.items] == ["A0", "A1", "B0", "B1"]
    rest = ListShelvedBooks(cursor=page.next_cursor)
    page = await listing.fetch(database.reader, rest, STRANGER, UNLIMITED, CURSORS)
    assert [row.shelf for row in page.items] == ["C", "C"]


async def test_a_cursor_belongs_to_its_list_and_its_sort(many: Database) -> None:
    cursor = (await slices(many, ListBooks(sort=("pages",), limit=3))).next_cursor
    with pytest.raises(Invalid, match="not valid") as caught:
        await slices(many, ListBooks(sort=("-pages",), cursor=cursor))
    assert [fault.field for fault in caught.value.errors] == ["cursor"]
    foreign = CURSORS.sign(["ListShelves", [], False, []])
    garbled: list[str] = [CURSORS.sign(value) for value in ([], {}, [1], ["ListBooks", [], 0, []])]
    unfit: list[list[Any]] = [
        ["ListBooks", ["pages"], False, ["x", str(ANN)]],
        ["ListBooks", ["pages"], False, [1]],
        ["ListBooks", ["subtitle"], False, ["x", str(ANN)]],
    ]
    for faulty in ["", "x", foreign, *garbled, *map(CURSORS.sign, unfit)]:
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


class ListByNullable(ListQuery[BookSummary]):
    permission = PUBLIC
    sortable = ("subtitle",)


class ListByUnknown(ListQuery[BookSummary]):
    permission = PUBLIC
    searchable = ("nothing",)


async def test_a_list_that_cannot_work_is_not_built() -> None:
    columns = {"is_printed": Book.printed_at.is_not(None)}
    with pytest.raises(TypeError, match="subtitle"):
        Listing(ListByNullable, Book, BookSummary, columns=columns)
    with pytest.raises(LookupError, match="nothing"):
        Listing(ListByUnknown, Book, BookSummary, columns=columns)
    with pytest.raises(LookupError, match="user_id"):
        Listing(ListOwnersBooks, Book, BookSummary, columns=columns)
    with pytest.raises(LookupError, match="is_printed"):
        Listing(ListShelves, Book, BookSummary)


async def test_undeclared_sorts_and_filters_are_refused() -> None:
    for asked in ({"sort": "subtitle"}, {"title": {"gte": "a"}}, {"place": {"eq": 1}}):
        with pytest.raises(ValidationError):
            ListBooks.model_validate(asked)
