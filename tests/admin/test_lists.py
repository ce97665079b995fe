"""Shows how lists are read: filtered, sorted, page by page, and exported."""

import csv
import re
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI

from backstay.admin.visits import Visit
from backstay.composition import Backstay
from backstay.core.errors import DatabaseTimedOut
from backstay.core.permissions import Source
from backstay.features.access.schemas import Effect
from backstay.features.items.model import Item
from backstay.testing import Add, Login
from tests.admin.conftest import Open
from tests.admin.visiting import Visitor
from tests.features.granting import grant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def items(add: Add, login: Login) -> list[str]:
    """Sixty items of one owner."""
    owner = await login()
    titles = [f"item {number:02}" for number in range(60)]
    for title in titles:
        await add(Item(title=title, owner_id=UUID(owner.id)))
    return titles


def rows(page: str) -> list[str]:
    """What names the rows of a page."""
    return re.findall(r'<th scope="row"><a href="/admin/data/items/[^"]+">([^<]*)</a>', page)


def link(page: str, relation: str) -> str | None:
    found = re.search(rf'rel="{relation}" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else None


async def test_pages_follow_one_another_both_ways(console: Open, items: list[str]) -> None:
    visitor = await console()
    query, seen = "?sort=title", []
    while query:
        page = (await visitor.get(f"/data/items{query}")).text
        seen += rows(page)
        last, query = query, link(page, "next") or ""
    assert seen == items
    back = link((await visitor.get(f"/data/items{last}")).text, "prev")
    assert rows((await visitor.get(f"/data/items{back}")).text) == items[25:50]


async def test_filters_and_search_are_those_of_the_api(console: Open, items: list[str]) -> None:
    visitor = await console()
    for query in ("q=item+07", "title__contains=07", "title=item+07"):
        assert rows((await visitor.get(f"/data/items?{query}")).text) == ["item 07"]
    kept = (await visitor.get("/data/items?title__contains=07&sort=title")).text
    assert 'value="07"' in kept
    empty = (await visitor.get("/data/items?title__contains=zzz")).text
    assert "Nothing matches." in empty
    # what a browser sends of inputs that nobody filled in
    assert len(rows((await visitor.get("/data/items?q=&title__contains=")).text)) == 25


async def test_moments_of_inputs_are_meant_as_utc(console: Open, items: list[str]) -> None:
    visitor = await console()
    late = await visitor.get("/data/items?created_at__gte=2200-01-01T00:00")
    assert late.status_code == 200
    assert "Nothing matches." in late.text
    early = await visitor.get("/data/items?created_at__gte=2001-01-01T00:00:00")
    assert len(rows(early.text)) == 25


async def test_a_wrong_parameter_is_a_sentence_on_the_page(console: Open) -> None:
    visitor = await console()
    for query in ("sort=nothing", "unknown=1", "cursor=x", "created_at__gte=yesterday", "limit=0"):
        answer = await visitor.get(f"/data/items?{query}")
        assert answer.status_code in {400, 422}, query
        assert re.search(r'role="alert">[^<]+', answer.text), query


async def test_a_search_that_takes_too_long_is_a_sentence(
    console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await console()

    async def send(*_: Any, **__: Any) -> Any:
        raise DatabaseTimedOut("The search was ended after 5 s: search for less.")

    monkeypatch.setattr(Visit, "send", send)
    answer = await visitor.get("/data/items?q=slow")
    assert answer.status_code == 503
    assert "search for less" in answer.text
    assert 'value="slow"' in answer.text


async def test_refused_fields_are_neither_filters_nor_headings(
    app: FastAPI, console: Open, login: Login, backstay: Backstay
) -> None:
    person = await login()
    rule = (Source.QUERY, "title", Effect.DENY)
    await grant(backstay, person.id, "items:list", rules=[rule])
    visitor = Visitor(app)
    await visitor.sign_in(person.email)
    page = (await visitor.get("/data/items")).text
    assert 'name="title__contains"' not in page
    assert "sort=title" not in page
    assert 'name="owner_id"' in page
    assert (await visitor.get("/data/items?sort=title")).status_code == 403
    await visitor.client.aclose()


async def test_an_export_has_every_row_that_matches(console: Open, items: list[str]) -> None:
    visitor = await console()
    answer = await visitor.get("/export/list_items?sort=title&title__contains=item+0&as=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="items.csv"'
    lines = answer.text.splitlines()
    assert lines[0].split(",")[:2] == ["id", "title"]
    assert [line.split(",")[1] for line in lines[1:]] == items[:10]
    as_json = await visitor.get("/export/list_items?as=jsonl")
    assert len(as_json.text.splitlines()) == 60


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1"])
async def test_an_export_holds_no_formula(
    console: Open, add: Add, login: Login, title: str
) -> None:
    await add(Item(title=title, owner_id=UUID((await login()).id)))
    visitor = await console()
    answer = await visitor.get("/export/list_items?as=csv")
    (_, row) = csv.reader(answer.text.splitlines())
    assert "'" in row[1]
    assert not row[1].lstrip("\t").startswith(tuple("=+-@"))


async def test_an_export_spans_pages(
    console: Open, items: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backstay.admin.exporting.MAX_ROWS", 7)
    visitor = await console()
    answer = await visitor.get("/export/list_items?sort=title&as=csv")
    assert [line.split(",")[1] for line in answer.text.splitlines()[1:]] == items


async def test_an_input_finds_rows_by_what_they_are_called(console: Open, login: Login) -> None:
    person, visitor = await login(), await console()
    found = (await visitor.get(f"/pick/list_users?q={person.email}")).json()
    assert found == {"rows": [{"id": person.id, "label": person.email}]}
    form = (await visitor.get("/form/assign_role")).text
    assert 'data-pick="/admin/pick/list_users"' in form
    assert 'data-pick="/admin/pick/list_roles"' in form


async def test_rows_are_counted_up_to_a_bound(
    console: Open, items: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await console()
    assert (await visitor.get("/count/list_items")).text == "60 rows"
    assert (await visitor.get("/count/list_items?title=item+07")).text == "1 row"
    assert (await visitor.get("/count/list_items?title=none")).text == "0 rows"
    monkeypatch.setattr("backstay.admin.counting.MOST", 59)
    assert (await visitor.get("/count/list_items")).text == "more than 59 rows"
    assert (await visitor.get("/count/get_item")).status_code == 404


async def test_an_export_that_is_refused_is_a_page(console: Open) -> None:
    visitor, other = await console(), await console("user")
    refused = await other.get("/export/list_users")
    wrong = await visitor.get("/export/list_users?cursor=none")
    assert (refused.status_code, wrong.status_code) == (403, 422)
    for page in (refused, wrong):
        assert page.headers["content-type"].startswith("text/html")
        assert "content-disposition" not in page.headers


async def test_what_is_drawn_once_changes_with_the_rights(
    app: FastAPI, login: Login, backstay: Backstay
) -> None:
    person, visitor = await login(), Visitor(app)
    await visitor.sign_in(person.email)
    seen = [(await visitor.get("/data/items")).text]
    await grant(backstay, person.id, "users:list")
    seen.append((await visitor.get("/data/items")).text)
    assert [page.count('href="/admin/data/users"') for page in seen] == [0, 2]
    await visitor.client.aclose()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
class TestSlowDatabase:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"DB_READ_TIMEOUT": "2"}

    async def test_a_search_ends_at_the_deadline_with_a_sentence(
        self, console: Open, seeded_url: str
    ) -> None:
        """Somebody holds the table for longer than a read may take."""
        visitor = await console()
        other = await asyncpg.connect(seeded_url.replace("+asyncpg", "", 1))
        async with other.transaction():
            await other.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
            answer = await visitor.get("/data/items?q=slow")
        await other.close()
        assert answer.status_code == 503
        assert "narrow the search" in answer.text
        assert 'value="slow"' in answer.text
        assert (await visitor.get("/data/items?q=slow")).status_code == 200
