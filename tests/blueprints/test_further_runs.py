"""A further run of `add` adds and changes, and refuses what rows would not survive."""

from typing import Any

import pytest

from backstay.blueprints.entities.changing import impossible, left_out, merged, wanting
from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import Entity


def order(*fields: str, before: Entity | None = None, **options: Any) -> Entity:
    entity, problems = entity_of("Order", fields, before=before, **options)
    assert problems == []
    return entity


BEFORE = order(
    *("note:str:20?", "size:int", "price:money", "rate:decimal:2", "status:draft,placed,paid"),
    *("user:ref(User)",),
    children=["lines:article:str,kind:on,off?"],
    transitions="place,pay",
    plural_name="order_book",
)


def after(*fields: str, **options: Any) -> Entity:
    """The entity after a further run that says so much."""
    return merged(BEFORE, order(*fields, before=BEFORE, **options))


def test_a_further_run_adds_to_what_is_there() -> None:
    new = after("extra:text?", children=["lines:size:int?", "notes:word:str"], soft_delete=True)
    assert [each.name for each in new.fields] == [*(f.name for f in BEFORE.fields), "extra"]
    lines, notes = new.children
    assert [each.name for each in lines.fields] == ["article", "kind", "size"]
    assert [each.name for each in notes.fields] == ["word"]
    assert (new.plural, new.soft_delete) == ("order_book", True)
    assert new.transitions == BEFORE.transitions
    assert list(impossible(BEFORE, new)) == []


def test_a_further_transition_changes_the_status_that_is_there() -> None:
    new = after("colour:red,green", transitions="ship,return_it:shipped>draft")
    assert new.status is not None
    assert new.status.name == "status"
    assert new.status.members == ("draft", "placed", "paid", "shipped")
    assert [each.verb for each in new.transitions] == ["place", "pay", "ship", "return_it"]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("note:int?", "it is str, and its values do not become int by themselves"),
        ("price:decimal:4", "it is money, and its values do not become decimal"),
        ("rate:decimal:3", "values are kept without the point"),
        ("user:ref(Order)?", "rows refer to User, not to Order"),
        ("status:placed,paid", "rows may have the value draft. Leave it in: status:draft,placed"),
    ],
)
def test_what_would_change_the_meaning_of_rows_is_refused(field: str, told: str) -> None:
    assert told in "\n".join(impossible(BEFORE, after(field)))


def test_rows_that_belong_to_nobody_cannot_be_owned() -> None:
    assert "rows that are there belong to nobody" in "\n".join(
        impossible(BEFORE, after("a:int?", owned=True))
    )


@pytest.mark.parametrize("field", ["note:text?", "size:float", "status:lost,draft,placed,paid"])
def test_wider_types_and_further_values_are_taken(field: str) -> None:
    assert list(impossible(BEFORE, after(field))) == []


@pytest.mark.parametrize(
    ("fields", "children", "asked"),
    [
        (["a:int"], [], ["order_book"]),
        (["a:int=1", "b:int?"], [], []),
        (["note:str:20"], [], ["order_book.note"]),
        (["note:str:20=x"], [], ["order_book.note"]),
        ([], ["lines:size:int"], ["order_lines"]),
        ([], ["lines:kind:on,off"], ["order_lines.kind"]),
        ([], ["notes:word:str"], []),
    ],
)
def test_rows_are_asked_for_values_that_they_lack(
    fields: list[str], children: list[str], asked: list[str]
) -> None:
    new = after(*fields, children=children)
    assert [each.asked for each in wanting(BEFORE, new)] == asked


def test_what_a_file_leaves_out_is_told() -> None:
    assert sorted(left_out(BEFORE, order("note:str:20?", "size:int", before=BEFORE))) == sorted(
        ["price", "rate", "status", "user_id", "article", "kind"]
    )
