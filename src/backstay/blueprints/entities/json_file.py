"""Reads the descriptions of many entities from a file such as `entities.json`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstay.blueprints.entities.command_line import (
    Unreadable,
    size_of,
    type_of,
    with_default,
    with_transitions,
)
from backstay.blueprints.entities.description import Child, Entity, Field, Kind
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.words import listed, plural, snake

_ENTITY = frozenset(
    {"name", "table", "attributes", "owned", "soft_delete", "children", "transitions"}
)
_ATTRIBUTE = frozenset(
    {"name", "type", "primary_key", "nullable", "unique", "length", "default", "values"}
    | {"references"}
)
_CHILD = frozenset({"name", "attributes"})
_MOST_BYTES = 1_000_000


@dataclass
class _Place:
    """A part of the file: what it is called in sentences, and what is wrong in all of it."""

    name: str
    problems: list[str] = field(default_factory=list)

    def part(self, name: str) -> "_Place":
        return _Place(f"{self.name}, {name}", self.problems)

    def refuse(self, sentence: str) -> None:
        self.problems.append(f"{self.name}: {sentence}")


def entities_of(
    path: Path, before: Mapping[str, Entity] | None = None
) -> tuple[list[Entity], list[str]]:
    """The entities that a file describes, as far as they can be read, and what is wrong.

    ``before`` has those that an earlier run described, by name.

    Raises:
        BlueprintError: the file holds no JSON.
    """
    try:
        raw = path.read_bytes()
        told = json.loads(raw.decode("utf-8-sig")) if len(raw) <= _MOST_BYTES else None
    except OSError as error:
        raise BlueprintError(f"{path} cannot be read: {error.strerror}.", usage=True) from None
    except (ValueError, RecursionError) as error:
        raise BlueprintError(f"{path} is not JSON: {error}.", usage=True) from None
    place = _Place(str(path))
    entities = []
    for number, each in enumerate(_list(place, told, "entities"), 1):
        here = place.part(f"entity {number}")
        if isinstance(each, dict):
            entities.append(_entity(here, each, before or {}))
        else:
            here.refuse("an entity is an object with a name and attributes.")
    if not entities and not place.problems:
        place.refuse("there is no entity in it.")
    return entities, place.problems


def _entity(place: _Place, told: Mapping[str, Any], known: Mapping[str, Entity]) -> Entity:
    name = _text(place, told, "name")
    before = known.get(name)
    place = _Place(f"{place.name} ({name})", place.problems)
    _refuse_others(place, told, _ENTITY)
    attributes = list(_attributes(place, told))
    keys = [each for each in attributes if each.get("primary_key")]
    integer = False
    for key in keys:
        integer = _key(place.part(f"attribute {key.get('name')}"), key) or integer
    if len(keys) > 1:
        place.refuse("it has several primary keys: a row has one, called id.")
    entity = Entity(
        name=name,
        plural=_text(place, told, "table", before.plural if before else plural(snake(name))),
        fields=tuple(_fields(place, [each for each in attributes if each not in keys])),
        owned=_flag(place, told, "owned"),
        soft_delete=_flag(place, told, "soft_delete"),
        integer_key=integer,
        children=tuple(_children(place, told)),
    )
    verbs: list[str] = []
    wrong: list[str] = []
    for verb in _list(place, told.get("transitions", []), "transitions"):
        verbs.append(str(verb))
    entity = with_transitions(entity, verbs, wrong, before)
    for sentence in wrong:
        place.refuse(sentence.removeprefix("--transitions "))
    return entity


def _children(place: _Place, told: Mapping[str, Any]) -> Iterator[Child]:
    for number, each in enumerate(_list(place, told.get("children", []), "children"), 1):
        here = place.part(f"child {number}")
        if not isinstance(each, dict):
            here.refuse("it is an object with a name and attributes.")
            continue
        _refuse_others(here, each, _CHILD)
        name = _text(here, each, "name")
        yield Child(name=name, fields=tuple(_fields(here, list(_attributes(here, each)))))


def _attributes(place: _Place, told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, each in enumerate(_list(place, told.get("attributes"), "attributes"), 1):
        if isinstance(each, dict):
            yield each
        else:
            place.part(f"attribute {number}").refuse("it is an object with a name and a type.")


def _fields(place: _Place, attributes: list[dict[str, Any]]) -> Iterator[Field]:
    for each in attributes:
        here = place.part(f"attribute {each.get('name', '?')}")
        _refuse_others(here, each, _ATTRIBUTE)
        try:
            yield _field(here, each)
        except Unreadable as error:
            place.problems.append(str(error))


def _field(place: _Place, told: Mapping[str, Any]) -> Field:
    name = _text(place, told, "name")
    kind, size, members, target = _type(place, told)
    if kind is Kind.REF and not name.endswith("_id"):
        name = f"{name}_id"
    if "length" in told:
        size = size_of(place.name, kind, told["length"])
    made = Field(
        name=name,
        kind=kind,
        size=size,
        members=members,
        target=target,
        nullable=_flag(place, told, "nullable"),
        unique=_flag(place, told, "unique"),
    )
    return with_default(made, told.get("default"), place.name)


def _type(place: _Place, told: Mapping[str, Any]) -> tuple[Kind, int | None, tuple[str, ...], str]:
    if "references" in told:
        return Kind.REF, None, (), _text(place, told, "references").partition(".")[0]
    if "values" in told:
        values = _list(place, told["values"], "values")
        return Kind.ENUM, None, tuple(map(str, values)), ""
    return type_of(place.name, _text(place, told, "type", "str"))


def _key(place: _Place, told: Mapping[str, Any]) -> bool:
    """Whether the primary key is counted by the database."""
    _refuse_others(place, told, _ATTRIBUTE)
    if told.get("name") != "id":
        place.refuse("the primary key of every table is called id.")
    if told.get("nullable"):
        place.refuse("a primary key is not nullable.")
    kind = told.get("type", "uuid")
    if kind not in {"int", "integer", "uuid"}:
        place.refuse("a primary key has the type uuid, or int if the database counts.")
    return kind in {"int", "integer"}


def _refuse_others(place: _Place, told: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in sorted(told.keys() - known):
        place.refuse(f"there is no {name!r}; there are {listed(sorted(known))}.")


def _list(place: _Place, told: Any, name: str) -> list[Any]:
    if isinstance(told, list):
        return told
    place.refuse(f"{name} is a list, in square brackets.")
    return []


def _text(place: _Place, told: Mapping[str, Any], name: str, default: str = "") -> str:
    found = told.get(name, default)
    if isinstance(found, str) and found:
        return found
    place.refuse(f"{name} is a text, which cannot be left out or empty.")
    return default or name.capitalize()


def _flag(place: _Place, told: Mapping[str, Any], name: str) -> bool:
    found = told.get(name, False)
    if not isinstance(found, bool):
        place.refuse(f"{name} is true or false.")
    return found is True
