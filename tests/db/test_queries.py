"""Shows that the query helpers change exactly the named rows, and stamp them."""

from typing import Any

import anyio
import pytest
from sqlalchemy import select

from backstay.core.clock import new_id, utc_now
from backstay.core.errors import NotFound
from backstay.core.messages import View
from backstay.core.permissions import Scope
from backstay.core.principal import SYSTEM, UNLIMITED, Grant, Principal
from backstay.db.database import Database
from backstay.db.folding import contains
from backstay.db.queries import columns_of, count, exists, one_or_404, visible
from backstay.db.session import Transaction
from tests.db.conftest import Commands
from tests.db.tables import Blurb, Book, Mood, TitleTaken

pytestmark = pytest.mark.anyio


async def fill(command: Commands, *titles: str, **values: Any) -> None:
    async def work(session: Transaction) -> None:
        session.add_all(Book(title=title, **values) for title in titles)

    await command(work)


async def test_nothing_found_is_404(command: Commands) -> None:
    async def work(session: Transaction) -> None:
        await one_or_404(session, select(Book).where(Book.id == new_id()))

    with pytest.raises(NotFound):
        await command(work)


async def test_a_locked_row_is_read_afresh(command: Commands) -> None:
    await fill(command, "Shared")
    seen, changed = anyio.Event(), anyio.Event()

    async def slow(session: Transaction) -> None:
        stale = await one_or_404(session, select(Book))
        if command.is_concurrent:
            seen.set()
            await changed.wait()
        book = await one_or_404(session, select(Book), lock=True)
        assert book is stale
        book.pages += 1

    async def quick(session: Transaction) -> None:
        book = await one_or_404(session, select(Book), lock=True)
        book.pages += 1

    async def meanwhile() -> None:
        if command.is_concurrent:
            await seen.wait()
        await command(quick)
        changed.set()

    async with anyio.create_task_group() as group:
        group.start_soon(command, slow)
        group.start_soon(meanwhile)

    async def read(session: Transaction) -> Any:
        return (await session.execute(select(Book.pages, Book.version))).one()

    assert tuple(await command(read)) == (2, 3)


async def test_own_rows_are_visible_under_own_scope(database: Database, command: Commands) -> None:
    ann = new_id()
    await fill(command, "Ann's", owner_id=ann)
    await fill(command, "Ben's", owner_id=new_id())
    own, anybody = Grant(Scope.OWN), UNLIMITED
    for principal, grant, number in ((Principal(ann), own, 1), (Principal(ann), anybody, 2)):
        found = await count(database.reader, Book, visible(Book.owner_id, principal, grant))
        assert found == number
    with pytest.raises(LookupError):
        visible(Book.owner_id, SYSTEM, own)


async def test_rows_can_be_counted_and_checked_for_existence(
    database: Database, command: Commands
) -> None:
    reader = database.reader
    assert (await count(reader, Book), await exists(reader, Book, Book.pages == 0)) == (0, False)
    await fill(command, "One", "Two")
    assert (await count(reader, Book), await exists(reader, Book, Book.pages == 0)) == (2, True)
    assert await count(reader, Book, Book.title == "One", Book.pages == 1) == 0


async def test_a_row_from_insert_one_equals_one_that_was_added(
    database: Database, command: Commands
) -> None:
    author = new_id()

    async def work(session: Transaction) -> tuple[Any, ...]:
        session.add(Book(title="Added", pages=3))
        book = await session.insert_one(Book(title="Inserted", pages=3))
        assert (book.mood, book.copies, book.subtitle, book.version) == (Mood.MERRY, 0, None, 1)
        assert (await session.get(Book, book.id)) is book
        return book.id, book.created_at, book.updated_by

    made = await command(work, author=author)
    names = [name for name in Book.__mapper__.columns.keys() if name not in {"id", "title"}]  # noqa: SIM118
    columns = [getattr(Book, name) for name in names if not name.endswith("_at")]
    rows = await database.reader.rows(select(*columns))
    assert len(rows) == 2
    assert tuple(rows[0]) == tuple(rows[1])
    kept = select(Book.id, Book.created_at, Book.created_by).where(Book.title == "Inserted")
    assert tuple((await database.reader.rows(kept))[0]) == made


async def test_a_row_that_is_no_entity_can_be_inserted(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> None:
        book = await session.insert_one(Book(title="One"))
        blurb = await session.insert_one(Blurb(book_id=book.id))
        assert blurb.text is None
        blurb.text = "Read it"

    await command(work)
    rows = await database.reader.rows(select(Blurb.text))
    assert [tuple(row) for row in rows] == [("Read it",)]


async def test_changes_after_an_insertion_are_written(
    database: Database, command: Commands
) -> None:
    async def work(session: Transaction) -> None:
        book = await session.insert_one(Book(title="One"))
        book.pages = 9

    await command(work)
    rows = await database.reader.rows(select(Book.pages, Book.version))
    assert [tuple(row) for row in rows] == [(9, 2)]


async def test_insert_one_raises_the_usual_errors(command: Commands) -> None:
    await fill(command, "One")

    async def work(session: Transaction) -> None:
        await session.insert_one(Book(title="One"))

    with pytest.raises(TitleTaken):
        await command(work)


async def test_update_where_stamps_rows_as_single_updates_do(
    database: Database, command: Commands
) -> None:
    author, begun = new_id(), utc_now()
    await fill(command, "One", "Two", "Three")

    async def work(session: Transaction) -> tuple[int, int, int]:
        loaded = await one_or_404(session, select(Book).where(Book.title == "One"))
        changed = await session.update_where(Book, Book.title != "Two", pages=7)
        return changed, loaded.pages, loaded.version

    assert await command(work, author=author) == (2, 7, 2)
    rows = await database.reader.rows(
        select(Book.version, Book.updated_by, Book.updated_at > begun).where(Book.pages == 7)
    )
    assert len(rows) == 2
    assert {(row[0], row[1]) for row in rows} == {(2, author)}


async def test_a_deletion_by_filter_returns_the_number_of_rows(
    database: Database, command: Commands
) -> None:
    await fill(command, "One", "Two", "Three")

    async def work(session: Transaction) -> tuple[int, int]:
        some = await session.delete_where(Book, Book.title.in_(["One", "Two"]))
        return some, await session.delete_where(Book, Book.title == "One")

    assert await command(work) == (2, 0)
    assert await count(database.reader, Book) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", "100%"),
        ("_", "a_b"),
        ("\\", "c\\d"),
        ("/", "e/f"),
        ("STRASSE", "Straße"),
        ("éa", "ÉAU"),
    ],
)
async def test_texts_are_searched_literally(
    database: Database, command: Commands, text: str, found: str
) -> None:
    await fill(command, "100%", "a_b", "c\\d", "e/f", "Straße", "Strasse".upper(), "ÉAU")
    rows = await database.reader.rows(select(Book.title).where(contains(Book.title, text)))
    expected = [found] if text != "STRASSE" else ["STRASSE"]
    assert [row.title for row in rows] == expected


class Shown(View):
    title: str
    unknown: int


async def test_a_view_must_know_its_columns() -> None:
    with pytest.raises(LookupError, match="unknown"):
        columns_of(Shown, Book)
    assert len(columns_of(Shown, Book, {"unknown": Book.pages})) == 2
