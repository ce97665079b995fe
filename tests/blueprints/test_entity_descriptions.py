"""Descriptions of entities are read as they are meant, and every fault has its place and mend."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.blueprints.entities.checks import Taken, faults_of
from backstay.blueprints.entities.command_line import Unreadable, entity_of, field_of
from backstay.blueprints.entities.description import USER, Entity, Kind, known_of
from backstay.blueprints.entities.json_file import entities_of
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.words import article, participles, plural, singular
from tests.examples import examples

TAKEN = Taken(
    tables={"users": "the package", "crews": "Crew"},
    features={"users": "the package", "items": "the package"},
    messages=frozenset({"GetItem"}),
    known={"User": USER},
)


def faults(name: str, *fields: str, **options: Any) -> str:
    entity, problems = entity_of(name, fields, **options)
    return "\n".join([*problems, *faults_of([entity], TAKEN)])


@examples()
@given(st.text(max_size=60))
def test_any_text_is_a_field_or_explained(text: str) -> None:
    with suppress(Unreadable):
        assert isinstance(field_of(text).kind, Kind)


@examples()
@given(st.from_regex(r"[a-z]{1,5}:(str|int|money|decimal|date|a,b)(:[0-9]{1,4})?[?!]*(=.*)?"))
def test_what_looks_like_a_field_renders_or_is_explained(text: str) -> None:
    entity, problems = entity_of("Rig", [text])
    told = [*problems, *faults_of([entity], TAKEN)]
    assert all(isinstance(each, str) for each in told)
    assert Entity.of(json.loads(json.dumps(entity.options()))) == entity


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("rig", "name:str"),
            "`rig` cannot be the name of an entity: write it like Rig or PurchaseOrder.",
        ),
        (("None", "name:str"), "`None` cannot be the name of an entity: it is a Python keyword."),
        (("../Rig", "name:str"), "`../Rig` cannot be the name of an entity: write it like"),
        (("Command", "name:str"), "Command: generated code uses this name"),
        (("Item", "name:str"), "Item: the package has a feature items"),
        (("User", "name:str"), "User: the package has the table users"),
        (("Crew", "name:str"), "Crew: Crew has the table crews"),
        (("Sheep", "name:str"), "singular and plural are the same, 'sheep'"),
        (("Rig",), "Rig: it has no field that clients write"),
        (
            ("Rig", "class:str"),
            "Rig.class: `class` cannot be the name of a field: it is a Python keyword.",
        ),
        (
            ("Rig", "order:str"),
            "Rig.order: `order` cannot be the name of a field: it is an SQL keyword.",
        ),
        (("Rig", "date:date"), "Rig.date: the name is that of a type"),
        (("Rig", "id:int"), "Rig.id: every row has a column of this name"),
        (("Rig", "version:int"), "Rig.version: every row has a column of this name"),
        (("Rig", "total:money"), "Rig.total: it is a parameter of every list"),
        (("Rig", "permission:str"), "Rig.permission: it is part of every message"),
        (("Rig", "a:str", "a:int"), "Rig.a: this field is there twice"),
        (("Rig", "name"), "name: write a name, a colon and a type"),
        (("Rig", "name:strin"), "name:strin: there is no type 'strin'. Types are str, text"),
        (("Rig", "name:str:0"), "str has 1 to 10000 characters, not '0'"),
        (("Rig", "name:int:5"), "int takes no length"),
        (("Rig", "name:int=x"), "name:int=x: 'x' is no int"),
        (("Rig", "name:int=99999999999"), "is no int"),
        (("Rig", "name:date=2026-01-01"), "date takes no default"),
        (("Rig", "name:str!=x"), "a unique field cannot have a default"),
        (("Rig", "state:on,on"), "Rig.state: an enumeration has two different values"),
        (("Rig", "state:on,O-ff"), "Rig.state: the value 'O-ff' is no word"),
        (("Rig", "state:on,off=new"), "the default is one of on or off, not 'new'"),
        (("Rig", "x:json!"), "Rig.x: json cannot be unique"),
        (("Rig", "format:json"), "Rig.format: PostgreSQL reads `format JSON` as words of its own"),
        (("Rig", "site:ref(Site)"), "Rig.site_id: there is no entity Site. There are Rig and User"),
        (("Rig", "above:ref(Rig)"), "Rig.above_id: the first row could refer to none"),
        (("Rig", f"{'a' * 31}:str"), "it has more than 30 characters"),
        (("Rig", f"name:str={'a' * 61}"), "the default has 1 to 60 printable characters"),
        (("Rig", f"state:on,{'a' * 64},{'b' * 65}"), "with at most 64 characters"),
        (("Rig", f"{'a' * 30}:on,{'b' * 60}"), "is too long for a line. Shorten it"),
        (("Rig", "summary:low,high"), "generated code has a RigSummary anyway"),
        (("Rig", "detail:decimal"), "generated code has a RigDetail anyway"),
        (("Rig", "keys:int"), "Rig.keys: generated code uses it for something else"),
        (("Number", "name:str"), "Number: generated code uses this name"),
        (("Sites", "name:str"), "Sites: it looks like a plural. Write Site, or say the plural"),
    ],
)
def test_what_cannot_be_generated_is_refused(arguments: tuple[str, ...], told: str) -> None:
    assert told in faults(*arguments)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"plural_name": "users"}, "the package has the table users"),
        ({"plural_name": "../x"}, "Rig: `../x` cannot be the name of a table: write it like rigs"),
        (
            {"plural_name": "select"},
            "`select` cannot be the name of a table: it is an SQL keyword.",
        ),
        ({"transitions": "pay"}, "Rig has no status that they change"),
        ({"children": ["lines"]}, "write it like lines:article:str,quantity:int"),
        ({"children": ["lines:a:ref(Rig)"]}, "children have no references"),
        ({"children": ["line:a:str"]}, "children have a plural"),
        ({"children": ["name:a:str"]}, "Rig.name"),
        ({"children": ["details:a:str"]}, "generated code has a RigDetail anyway"),
        ({"children": ["rigs:a:str"]}, "Rig.rigs: generated code uses this name"),
        ({"children": ["credits:a:str"]}, "Rig.credits: generated code uses this name"),
        ({"children": ["lines:a:whatever"]}, "--children lines: a:whatever: there is no type"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    assert told in faults("Rig", "name:str", **options)


@pytest.mark.parametrize(
    ("transitions", "told"),
    [
        ("delete", "there is a command of this name already"),
        ("pay:lost>paid", "'lost' is no value of it"),
        ("pay:draft>draft", "it leads from 'draft' to itself"),
        ("pay>", "--transitions pay>: write pay, or pay:placed>paid"),
    ],
)
def test_transitions_that_cannot_be_are_refused(transitions: str, told: str) -> None:
    assert told in faults("Rig", "name:str", "state:draft,placed", transitions=transitions)


def test_references_in_a_circle_are_refused() -> None:
    entities = [
        entity_of(name, ["a:str", f"{target.lower()}:ref({target})"])[0]
        for name, target in (("Ox", "Cow"), ("Cow", "Pig"), ("Pig", "Ox"))
    ]
    known = {each.name: known_of(each, "shop") for each in entities}
    (told,) = faults_of(entities, Taken(known=known))
    assert told.startswith("Ox → Cow → Pig → Ox: these refer to each other in a circle")


SEED = [
    {
        "name": "Rig",
        "table": "rigs",
        "attributes": [
            {"name": "id", "type": "int", "primary_key": True, "nullable": False},
            {"name": "name", "type": "string", "nullable": False},
        ],
    }
]


def read(tmp_path: Path, content: Any) -> tuple[list[Entity], str]:
    path = tmp_path / "entities.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    entities, problems = entities_of(path)
    return entities, "\n".join(problems).replace(str(path), "entities.json")


def test_the_format_of_entities_json_is_read(tmp_path: Path) -> None:
    (rig,), problems = read(tmp_path, SEED)
    assert problems == ""
    assert (rig.name, rig.plural, rig.integer_key) == ("Rig", "rigs", True)
    assert [(each.name, each.kind) for each in rig.fields] == [("name", Kind.STR)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "entities.json: entities is a list"),
        ([], "entities.json: there is no entity in it"),
        ([1], "entities.json, entity 1: an entity is an object"),
        ([{"attributes": []}], "entities.json, entity 1: name is a text"),
        ([{"name": "Rig"}], "entities.json, entity 1 (Rig): attributes is a list"),
        ([{"name": "Rig", "attributes": [], "ownd": True}], "there is no 'ownd'; there are"),
        (
            [{"name": "Rig", "attributes": [{"name": "a", "type": "x"}]}],
            "entities.json, entity 1 (Rig), attribute a: there is no type 'x'",
        ),
        (
            [{"name": "Rig", "attributes": [{"name": "k", "primary_key": True}]}],
            "attribute k: the primary key of every table is called id",
        ),
        (
            [{"name": "Rig", "attributes": [{"name": "a", "type": "int", "length": 3}]}],
            "attribute a: int takes no length",
        ),
        ([{"name": "Rig", "attributes": [], "owned": "yes"}], "owned is true or false"),
    ],
)
def test_faults_of_entities_json_have_their_place(tmp_path: Path, content: Any, told: str) -> None:
    assert told in read(tmp_path, content)[1]


@pytest.mark.parametrize("content", ["", "[", "\x00", "[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BlueprintError, match="is not JSON"):
        read(tmp_path, content)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["name", "attributes", "children", "type", "transitions", "values"])
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)


@examples()
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), _nested, max_leaves=9))
def test_any_json_is_entities_or_explained(tmp_path_factory: Any, content: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    entities, problems = entities_of(path)
    assert entities or problems


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("rig", "rigs"), ("box", "boxes"), ("company", "companies"), ("day", "days")),
        *(("purchase_order", "purchase_orders"), ("person", "people"), ("address", "addresses")),
        *(("order_status", "order_statuses"), ("analysis", "analyses"), ("brush", "brushes")),
    ],
)
def test_words_have_plurals(one: str, many: str) -> None:
    assert plural(one) == many
    assert singular(many) == one


def test_sentences_are_english() -> None:
    assert [article(each) for each in ("item", "rig", "hour", "user")] == [
        *("an item", "a rig"),
        *("an hour", "a user"),
    ]
    assert [participles(verb)[0] for verb in ("pay", "ship", "open", "carry", "close")] == [
        *("paid", "shipped", "opened", "carried", "closed"),
    ]
