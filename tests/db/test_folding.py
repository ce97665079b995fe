# ruff: noqa: RUF001
"""Shows that both databases search text alike, with Python's case folding and without LIKE."""

import pytest
from sqlalchemy import event, literal, select

from backstay.core.listing import Text
from backstay.db import folding
from backstay.db.database import Database
from backstay.db.folding import contains, fold
from backstay.db.options import EngineOptions
from backstay.testing.postgres_server import PostgresServer
from tests.db.books import ListBooks, book, pages, store, titles
from tests.db.tables import Book
from tests.logs import logged

pytestmark = pytest.mark.anyio

TEXTS = [
    "ΟΔΥΣΣΕΥΣ",
    "Οδυσσεύς",
    "ΣΑΣ σας",
    "σασ",
    "İstanbul",
    "istanbul",
    "ISTANBUL",
    "ıstanbul",
    "i\u0307stanbul",
    "Straße",
    "STRASSE",
    "GROẞ",
    "ÉCOLE école",
    "E\u0301COLE",
    "ЁЛКА ёлка",
    "Ǆ ǅ ǆ",
    "\u212a Kelvin \u2126 Ohm",
    "\U00010400 Deseret",
    "ᲐᲑᲒ Georgian",
    "Ꭰ Cherokee",
    "Ⓐ Ⅷ ＡＢＣ",
    "100%",
    "a_b",
    "c\\d",
    "e/f",
    "g.h(i*[j",
    "***=k",
    "l\nm",
    "n o  p",
    "a" * 100,
]
SAME = [
    ("ΣΑΣ", "σας"),
    ("σασ", "ΣΑΣ"),
    ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
    ("İstanbul", "istanbul"),
    ("istanbul", "İSTANBUL"),
    ("i\u0307stanbul", "İstanbul"),
    ("École", "ÉCOLE"),
    ("ёлка", "ЁЛКА"),
    ("groß", "GROẞ"),
]
DIFFERENT = [("Straße", "STRASSE"), ("ıstanbul", "ISTANBUL"), ("E\u0301", "É")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_differ_only_in_case_are_equal(one: str, other: str) -> None:
    assert fold(one) == fold(other) == fold(fold(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_letters_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


async def test_both_databases_fold_case_as_python_does(database: Database) -> None:
    await store(database, [book(n, title=f"{n}: {text}") for n, text in enumerate(TEXTS)])
    needles = {
        part
        for text in (*TEXTS, *(each for pair in SAME for each in pair))
        for part in (text, text.upper(), text.lower(), text.swapcase(), text[:1], text[-1:])
    }
    for needle in sorted(needles - {""}):
        found = await titles(database, q=needle, per_page=100)
        expected = [f"{n}: {t}" for n, t in enumerate(TEXTS) if fold(needle) in fold(f"{n}: {t}")]
        assert found == sorted(expected), ascii(needle)


async def test_null_values_match_no_search_and_hide_no_row(database: Database) -> None:
    rows = [book(1, title="Rope"), book(2, title="Knot", subtitle="of rope")]
    await store(database, rows)
    assert await titles(database, q="ROPE") == ["Knot", "Rope"]
    everything = select(Book.title).where(contains(Book.title, "")).order_by(Book.title)
    assert [row.title for row in await database.reader.rows(everything)] == ["Knot", "Rope"]
    assert await database.reader.scalar(select(contains(literal(None), "a"))) is None


async def test_a_search_text_is_not_a_like_pattern(database: Database) -> None:
    asked: list[str] = []

    def remember(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement.upper())

    event.listen(database.read_engine.sync_engine, "before_cursor_execute", remember)
    await store(database, [book(1, title="a" * 200)])
    for needle in ("a" * 199 + "z", "z" + "a" * 199):
        assert await titles(database, q=needle) == []
        query = ListBooks(title=Text(contains=needle), subtitle=Text(contains=needle))
        assert not (await pages(database, query)).items
    assert asked
    slow = ("LIKE", "STRPOS", "POSITION", "INSTR")
    assert not [statement for statement in asked if any(word in statement for word in slow)]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_database_with_another_collation_is_reported(
    options: EngineOptions, postgres: PostgresServer
) -> None:
    name = options.url.rpartition("/")[2] + "_c"
    postgres._sql(f"CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8'")
    elsewhere = options.url.rpartition("/")[0] + f"/{name}"
    told = []
    for url in (options.url, elsewhere):
        database = Database(EngineOptions(url))
        with logged(folding) as logs:
            await database.warm_up()
            told.append([each["event"] for each in logs])
        await database.dispose()
    postgres.drop_database(elsewhere)
    assert told == [[], ["letters outside of ASCII are not searched as promised"]]
