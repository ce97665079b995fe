"""Shows which parameters a list takes, and which field names they give to field rules."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from backstay.core.listing import MAX_ROWS, Equals, ListQuery, Range, Text
from backstay.core.messages import FromPath, View
from backstay.core.permissions import PUBLIC, Source


class Row(View):
    title: str


class ListRows(ListQuery[Row]):
    permission = PUBLIC
    sortable = ("created_at", "title")
    searchable = ("title", "note")

    shelf: FromPath[str] = ""
    title: Text | None = None
    note: Text | None = None
    colour: Equals[str] | None = None
    created_at: Range[datetime] | None = None


DEFAULTS = {"page": 1, "per_page": 20, "total": True}


class ListBare(ListQuery[Row]):
    permission = PUBLIC


def ask(**fields: Any) -> ListRows:
    return ListRows.model_validate(fields)


def refusals(kind: type[ListQuery[Row]], **fields: Any) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(fields)
    return {error["type"] for error in caught.value.errors()}


def test_the_first_page_is_the_default() -> None:
    query = ask()
    assert (query.page, query.per_page, query.total, query.by_cursor) == (1, 20, True, False)
    assert list(query.conditions()) == []


@pytest.mark.parametrize("fields", [{"limit": 5}, {"cursor": "x"}, {"limit": 5, "cursor": "x"}])
def test_a_limit_or_cursor_asks_for_keyset_paging(fields: dict[str, Any]) -> None:
    assert ask(**fields).by_cursor


@pytest.mark.parametrize("offset", [{"page": 2}, {"per_page": 21}, {"total": False}])
@pytest.mark.parametrize("keyset", [{"limit": 5}, {"cursor": "x"}])
def test_the_two_ways_of_paging_do_not_mix(offset: dict[str, Any], keyset: dict[str, Any]) -> None:
    assert refusals(ListRows, **offset, **keyset) == {"mixed_paging"}
    assert refusals(ListRows, **DEFAULTS | offset, **keyset) == {"mixed_paging"}


@pytest.mark.parametrize("keyset", [{"limit": 5}, {"cursor": "x"}])
def test_sending_default_values_does_not_change_the_paging_mode(keyset: dict[str, Any]) -> None:
    assert ask(**DEFAULTS, **keyset).by_cursor


class ListManyRows(ListRows):
    permission = PUBLIC

    per_page: int = 50


def test_the_defaults_are_those_of_the_list() -> None:
    assert ListManyRows.model_validate({"per_page": 50, "limit": 5}).by_cursor
    assert refusals(ListManyRows, per_page=20, limit=5) == {"mixed_paging"}


@pytest.mark.parametrize("name", ["page", "per_page", "limit"])
def test_numbers_begin_at_one(name: str) -> None:
    assert refusals(ListRows, **{name: 0}) == {"greater_than_equal"}


@pytest.mark.parametrize("name", ["per_page", "limit"])
def test_a_page_is_bounded(name: str) -> None:
    assert getattr(ask(**{name: MAX_ROWS}), name) == MAX_ROWS
    assert refusals(ListRows, **{name: MAX_ROWS + 1}) == {"less_than_equal"}


@pytest.mark.parametrize(
    "sort",
    ["-created_at,title", "-created_at, title", ["-created_at", "title"], "-created_at,,title"],
)
def test_sort_is_a_comma_separated_list(sort: Any) -> None:
    assert ask(sort=sort).sort == ("-created_at", "title")


@pytest.mark.parametrize("sort", ["colour", "--title", "-", "title,-title", "title,title", "TITLE"])
def test_sort_knows_each_declared_field_once(sort: str) -> None:
    assert refusals(ListRows, sort=sort) == {"sort"}


def test_a_list_without_declarations_neither_sorts_nor_searches() -> None:
    assert refusals(ListBare, sort="title") == {"sort"}
    assert refusals(ListBare, q="text") == {"q"}
    assert refusals(ListBare, title={"eq": "x"}) == {"extra_forbidden"}


def test_a_list_knows_which_of_its_fields_are_filters() -> None:
    assert {name: set(kind.operators()) for name, kind in ListRows.filters().items()} == {
        "title": {"eq", "in", "isnull", "contains"},
        "note": {"eq", "in", "isnull", "contains"},
        "colour": {"eq", "in", "isnull"},
        "created_at": {"eq", "in", "isnull", "gte", "lte", "gt", "lt"},
    }
    assert ListBare.filters() == {}


def test_conditions_have_a_field_and_an_operator() -> None:
    query = ask(
        title={"contains": "sea"},
        colour={"in": "red,blue", "isnull": False},
        created_at={"gte": "2024-01-01T00:00:00Z"},
    )
    told = {(name, operator) for name, operator, _ in query.conditions()}
    assert told == {
        ("title", "contains"),
        ("colour", "in_"),
        ("colour", "isnull"),
        ("created_at", "gte"),
    }
    assert ("colour", "in_", ("red", "blue")) in set(query.conditions())


@pytest.mark.parametrize(
    "filters",
    [{"colour": {"gte": "a"}}, {"title": {"gte": "a"}}, {"created_at": {"contains": "a"}}],
)
def test_an_operator_that_a_field_lacks_is_refused(filters: dict[str, Any]) -> None:
    assert refusals(ListRows, **filters) == {"extra_forbidden"}


def named(**fields: Any) -> set[str]:
    found = ask(**fields).named_fields()
    assert {source for source, _ in found} <= {Source.QUERY}
    return {name for _, name in found}


def test_paging_and_the_path_name_no_field() -> None:
    assert named(page=2, per_page=5, total=False, shelf="A") == set()
    assert named(limit=5, cursor="x") == set()


def test_filtering_sorting_and_searching_name_fields() -> None:
    assert named(colour={"in": "red"}) == {"colour"}
    assert named(created_at={"gte": "2024-01-01T00:00:00Z", "isnull": True}) == {"created_at"}
    assert named(sort="-title") == {"title"}
    assert named(q="sea") == {"title", "note"}
