"""Shows that lists find the same rows on both databases, and never those of others."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import and_, bindparam, join

from backstay.composition import compose
from backstay.core.bus import handles
from backstay.core.clock import utc_now
from backstay.core.context import Sender
from backstay.core.errors import Invalid
from backstay.core.feature import Feature
from backstay.core.listing import CursorPage, Equals, ListQuery, Page, Range, Text
from backstay.core.messages import FromPath, View
from backstay.core.permissions import PUBLIC, SIGNED_IN, Scope
from backstay.core.principal import Grant, Principal
from backstay.db.database import Database
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.db.books import (
    ANN,
    BEN,
    BOOKS,
    BookSummary,
    ListBooks,
    book,
    pages,
    paginator,
    slices,
    store,
    titles,
)
from tests.db.conftest import Commands
from tests.db.tables import Book, Mood, Shelf

pytestmark = pytest.mark.anyio

WOOL, UNDER, ELAN, GONE = "100% Wool", "under_score", "Élan", "Gone"
PRINTED = datetime(2026, 3, 1, tzinfo=UTC)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
FOUND: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [WOOL, UNDER, ELAN]),
    ({"title": {"eq": WOOL}}, [WOOL]),
    ({"title": {"in": "100% Wool,Élan"}}, [WOOL, ELAN]),
    ({"title": {"contains": "%"}}, [WOOL]),
    ({"title": {"contains": "_"}}, [UNDER]),
    ({"title": {"contains": "WOOL"}}, [WOOL]),
    ({"title": {"contains": "éL"}}, [ELAN]),
    ({"subtitle": {"contains": "\\"}}, [UNDER]),
    ({"subtitle": {"contains": "a/b"}}, [UNDER]),
    ({"subtitle": {"isnull": True}}, [WOOL, ELAN]),
    ({"subtitle": {"isnull": False}}, [UNDER]),
    ({"pages": {"gte": 20}}, [UNDER, ELAN]),
    ({"pages": {"gte": 11, "lte": 29}}, [UNDER]),
    ({"pages": {"in": ()}}, []),
    ({"copies": {"gte": 2**33}}, [WOOL]),
    ({"price": {"gte": Decimal("9.99")}}, [ELAN]),
    ({"mood": {"eq": Mood.GRIM}}, [WOOL]),
    ({"mood": {"in": "grim,merry"}}, [WOOL, UNDER, ELAN]),
    ({"printed_at": {"gte": PRINTED}}, [UNDER]),
    ({"printed_at": {"lte": FOREVER}}, [UNDER]),
    ({"owner_id": {"eq": BEN}}, [WOOL, ELAN]),
    ({"is_printed": {"eq": True}}, [UNDER]),
    ({"is_printed": {"eq": False}}, [WOOL, ELAN]),
    ({"is_deleted": {"eq": True}}, [GONE]),
    ({"is_deleted": {"in": "true,false"}}, [WOOL, UNDER, ELAN, GONE]),
    ({"q": "wool"}, [WOOL]),
    ({"q": "B\\c"}, [UNDER]),
    ({"q": "e", "pages": {"lte": 29}}, [UNDER]),
]


async def test_each_filter_finds_the_expected_rows(database: Database) -> None:
    await store(
        database,
        [
            book(0, title="100% Wool", pages=10, copies=2**40, mood=Mood.GRIM),
            book(1, title="under_score", pages=20, subtitle="A/B\\C", printed_at=PRINTED),
            book(2, title="Élan", pages=30, price=Decimal("9.99")),
            book(3, title="Gone", deleted_at=utc_now()),
        ],
    )
    for asked, found in FOUND:
        assert await titles(database, **asked) == sorted(found), asked
        assert await titles(database, **asked, limit=10) == sorted(found), asked


@pytest.mark.parametrize(
    ("asked", "field"),
    [
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


async def test_without_an_owner_own_scope_shows_nothing(
    many: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Book, "__owner__", None)
    ownerless = Listing(
        ListShelves, Book, BookSummary, columns={"is_printed": Book.printed_at.is_not(None)}
    )
    paginate = paginator(many, Principal(user_id=ANN), Grant(Scope.OWN))
    page = await paginate(ownerless, ListShelves())
    assert page.items == ()
    page = await paginate(ownerless, ListShelves(per_page=60), scope=Scope.ANY)
    assert len(page.items) == 60


class ListMyBooks(ListQuery[BookSummary]):
    permission = SIGNED_IN


@handles(ListMyBooks)
async def list_my_books(
    query: ListMyBooks, paginate: Paginator
) -> Page[BookSummary] | CursorPage[BookSummary]:
    return await paginate(BOOKS, query)


async def test_a_list_without_a_permission_needs_an_explicit_scope(
    many: Database, tmp_path: Path
) -> None:
    module = ModuleType(__name__)
    module.__dict__.update(ListMyBooks=ListMyBooks, list_my_books=list_my_books)
    feature = Feature("books", modules=(module,))
    settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
    bus = compose(settings, [*STANDARD, feature]).bus
    with pytest.raises(LookupError, match="ListMyBooks"):
        await Sender(bus.send, Principal(user_id=ANN))(ListMyBooks())
    query = ListMyBooks(limit=60)
    page = await paginator(many, Principal(user_id=ANN), None)(BOOKS, query, scope=Scope.OWN)
    mine = await pages(many, ListBooks(owner_id=Equals[UUID](eq=ANN), per_page=60))
    assert page.items == mine.items


async def test_a_path_field_and_further_parameters_narrow_the_list(many: Database) -> None:
    listing = Listing(
        ListOwnersBooks,
        Book,
        BookSummary,
        where=and_(Book.owner_id == bindparam("user_id"), Book.pages >= bindparam("least")),
        columns={"is_printed": Book.printed_at.is_not(None)},
    )
    page = await paginator(many)(listing, ListOwnersBooks(user_id=BEN), {"least": 2})
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
        from_=join(Book, Shelf, Book.shelf_id == Shelf.id),
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
    page = await paginator(database)(listing, query)
    assert isinstance(page, CursorPage)
    assert [row.title for row in page.items] == ["A0", "A1", "B0", "B1"]
    rest = ListShelvedBooks(cursor=page.next_cursor)
    page = await paginator(database)(listing, rest)
    assert [row.shelf for row in page.items] == ["C", "C"]


async def test_undeclared_sorts_and_filters_are_refused() -> None:
    for asked in ({"sort": "subtitle"}, {"title": {"gte": "a"}}, {"place": {"eq": 1}}):
        with pytest.raises(ValidationError):
            ListBooks.model_validate(asked)
