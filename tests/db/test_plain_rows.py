"""Shows that rows written without views are those of views, byte for byte, or are not written."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import pytest
from asyncpg.pgproto import pgproto
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    computed_field,
    field_validator,
)
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
)

from backstay.core.listing import Page
from backstay.core.messages import View
from backstay.core.principal import STRANGER, UNLIMITED
from backstay.core.representation import Representation
from backstay.db.base import UtcDateTime
from backstay.db.database import Database
from backstay.db.listing import Listing
from backstay.db.paging import Paginator
from backstay.db.plain_rows import renderer_of
from tests.db.books import BOOKS, CURSORS, ListBooks
from tests.db.tables import Book

pytestmark = pytest.mark.anyio


class Every(View):
    id: UUID
    note: str | None
    name: str
    count: int
    is_on: bool | None
    at: datetime
    day: date | None


EVERY = Table(
    "every",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("note", Text),
    Column("name", String(80), nullable=False),
    Column("count", Integer, nullable=False),
    Column("is_on", Boolean),
    Column("at", UtcDateTime, nullable=False),
    Column("day", Date),
    Column("perhaps", String(80)),
)
FOREIGN = Table("foreign", MetaData(), Column("name", String(80), nullable=False))
texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids() | st.uuids().map(lambda each: pgproto.UUID(each.bytes)),
            "note": st.none() | texts,
            "name": texts,
            "count": st.integers(-(2**70), 2**70),
            "is_on": st.none() | st.booleans(),
            "at": st.datetimes(timezones=st.just(UTC)),
            "day": st.none() | st.dates(),
        }
    )
)


def rendering(view: type[View], *, from_: FromClause = EVERY, **columns: Any) -> Any:
    shown: dict[str, ColumnElement[Any]] = {
        name: columns.get(name, EVERY.c[name]) for name in view.model_fields
    }
    return renderer_of(view, shown, from_)


@given(rows)
def test_rows_are_the_bytes_of_their_views(rows: list[dict[str, Any]]) -> None:
    kind = TypeAdapter(tuple[Every, ...])
    render = rendering(Every)
    ordered = [{name: row[name] for name in Every.model_fields} for row in rows]
    assert render(ordered) == kind.dump_json(kind.validate_python(rows))


class Aliased(View):
    name: str = Field(serialization_alias="called")


class Left(View):
    name: str = Field(exclude=True)


class Limited(View):
    name: Annotated[str, Field(max_length=1)]


class Loud(View):
    name: Annotated[str, PlainSerializer(str.upper)]


class Checked(View):
    name: str

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        return value.strip()


class Computed(View):
    name: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> str:
        return self.name * 2


class Stripped(View):
    model_config = ConfigDict(str_strip_whitespace=True)

    name: str


class Chosen(View):
    name: Literal["one"]


class Listed(View):
    name: list[str]


class Mixed(View):
    name: str | int


class Numbered(View):
    name: int


class Never(View):
    perhaps: str


@pytest.mark.parametrize(
    "view",
    [
        *(Aliased, Left, Limited, Loud, Checked, Computed, Stripped, Chosen, Listed, Mixed),
        *(Numbered, Never),
    ],
)
def test_views_that_tell_more_are_made(view: type[View]) -> None:
    assert rendering(view) is None


class Named(View):
    name: str


def test_values_that_no_column_guarantees_are_checked() -> None:
    assert rendering(Named) is not None
    assert rendering(Named, name=func.lower(EVERY.c.name, type_=String)) is None
    joined = EVERY.outerjoin(FOREIGN, EVERY.c.name == FOREIGN.c.name)
    assert rendering(Named, from_=joined, name=FOREIGN.c.name) is None


class PlainBook(View):
    id: UUID
    title: str
    subtitle: str | None
    pages: int
    printed_at: datetime | None
    created_at: datetime


PRINTED = {"is_printed": Book.printed_at.is_not(None)}
PLAIN: Any = Listing(cast("Any", ListBooks), Book, PlainBook, columns=PRINTED)
PAGES: list[dict[str, Any]] = [
    *({"per_page": 25, "page": page, "sort": "title"} for page in (1, 2, 3, 4)),
    {"per_page": 60},
    {"total": False},
    {"title": {"contains": "1"}, "per_page": 3},
    {"title": {"eq": "none"}},
    {"q": "book 00", "per_page": 3},
    {"limit": 7},
    {"limit": 7, "sort": "-price,title"},
]


@pytest.mark.parametrize("asked", PAGES, ids=str)
async def test_a_page_is_the_same_as_bytes(many: Database, asked: dict[str, Any]) -> None:
    query = ListBooks.model_validate(asked)
    paginate = Paginator(many.reader, CURSORS, STRANGER, UNLIMITED, renders=True)
    seen = await paginate(PLAIN, query)
    written = await paginate.rendered(PLAIN, query)
    assert isinstance(written, Representation)
    assert written == Representation.of(seen)


async def test_who_looks_at_rows_gets_views(many: Database) -> None:
    paginate = Paginator(many.reader, CURSORS, STRANGER, UNLIMITED)
    page = await paginate.rendered(PLAIN, ListBooks())
    assert isinstance(page, Page)
    assert isinstance(page.items[0], PlainBook)


async def test_lists_that_need_views_are_no_bytes(many: Database) -> None:
    paginate = Paginator(many.reader, CURSORS, STRANGER, UNLIMITED, renders=True)
    assert isinstance(await paginate.rendered(BOOKS, ListBooks()), Page)


async def test_the_total_is_right_on_every_page(many: Database) -> None:
    paginate = Paginator(many.reader, CURSORS, STRANGER, UNLIMITED)
    for number in (1, 2, 3, 4):
        page = await paginate(PLAIN, ListBooks(page=number, per_page=30))
        assert isinstance(page, Page)
        assert (page.total, page.pages, page.has_more) == (60, 2, number == 1)
