"""Reads the description of an entity from the arguments of `backstay add`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from backstay.blueprints.entities.description import (
    Child,
    Entity,
    Field,
    Kind,
    Transition,
    status_of,
)
from backstay.blueprints.entities.values import default_of
from backstay.blueprints.words import listed, participles, plural, snake

_FIELD = re.compile(
    r"(?P<name>[^:=]*):(?P<type>[^=?!]+)(?P<marks>[?!]*)(?:=(?P<default>.*))?", re.S
)
_REF = re.compile(r"ref\(\s*(\w+)\s*\)")
_TRANSITION = re.compile(r"(?P<verb>\w+)(?::(?P<start>\w+(?:\+\w+)*)>(?P<end>\w+))?")
_SYNONYMS = {"string": Kind.STR, "integer": Kind.INT, "number": Kind.FLOAT, "boolean": Kind.BOOL}
_TYPES = {kind.value: kind for kind in Kind if kind not in {Kind.ENUM, Kind.REF}} | _SYNONYMS
TYPES = listed((kind.value for kind in Kind if kind not in {Kind.ENUM, Kind.REF}), "and")
_HINT = f"Types are {TYPES}; ref(Site) refers to a Site, and draft,placed lists values."
LONGEST_TEXT = 10_000
"""Characters of a ``text``, and the most that a ``str`` may ask for."""


class Unreadable(Exception):
    """One argument cannot be read; the text says why, and how to write it."""


def entity_of(
    name: str,
    fields: Sequence[str],
    *,
    plural_name: str = "",
    owned: bool = False,
    soft_delete: bool = False,
    children: Sequence[str] = (),
    transitions: str = "",
    before: Entity | None = None,
) -> tuple[Entity, list[str]]:
    """The entity that arguments describe, as far as they can be read, and what is wrong.

    ``before`` is what an earlier run described, if there was one.
    """
    problems: list[str] = []
    read = [*_each(fields, problems)]
    kids = []
    for told in children:
        child_name, colon, rest = told.partition(":")
        if not colon or not rest:
            problems.append(f"--children {told}: write it like lines:article:str,quantity:int.")
            continue
        inner = _each(_split(rest), problems, f"--children {child_name}: ")
        kids.append(Child(name=child_name, fields=tuple(inner)))
    entity = Entity(
        name=name,
        plural=plural_name or (before.plural if before else plural(snake(name))),
        fields=tuple(read),
        owned=owned,
        soft_delete=soft_delete,
        children=tuple(kids),
    )
    verbs = [verb.strip() for verb in transitions.split(",") if verb.strip()]
    return with_transitions(entity, verbs, problems, before), problems


def _each(told: Iterable[str], problems: list[str], where: str = "") -> list[Field]:
    found = []
    for text in told:
        try:
            found.append(field_of(text))
        except Unreadable as error:
            problems.append(f"{where}{error}")
    return found


def _split(told: str) -> list[str]:
    """Fields between commas; what has no type is a further value of the one before."""
    parts: list[str] = []
    for part in told.split(","):
        if ":" in part or not parts:
            parts.append(part)
        else:
            parts[-1] += f",{part}"
    return parts


def field_of(text: str) -> Field:
    """The field that an argument such as ``name:str:200!`` describes.

    Raises:
        Unreadable: it describes none.
    """
    found = _FIELD.fullmatch(text)
    if found is None:
        raise Unreadable(
            f"{text}: write a name, a colon and a type, as in depth:float? or name:str:200!, and a "
            "default behind an equals sign."
        )
    name, told, marks = found["name"].strip(), found["type"].strip(), found["marks"]
    kind, size, members, target = type_of(text, told)
    if kind is Kind.REF and not name.endswith("_id"):
        name = f"{name}_id"
    field = Field(
        name=name,
        kind=kind,
        size=size,
        members=members,
        target=target,
        nullable="?" in marks,
        unique="!" in marks,
    )
    return with_default(field, found["default"], text)


def with_default(field: Field, told: Any, where: str) -> Field:
    """The field with the default that was told; an enumeration has its first value without.

    Raises:
        Unreadable: the default is no value of the type.
    """
    if told is None:
        is_status = field.kind is Kind.ENUM and not field.nullable
        return replace(field, default=field.members[0]) if is_status else field
    try:
        return replace(field, default=default_of(field, told))
    except ValueError as error:
        raise Unreadable(f"{where}: {error}") from None


def type_of(where: str, told: str) -> tuple[Kind, int | None, tuple[str, ...], str]:
    """The kind that a type names, with the size, the values or the entity that it names, too.

    Raises:
        Unreadable: there is no such type.
    """
    if found := _REF.fullmatch(told):
        return Kind.REF, None, (), found[1]
    if "," in told:
        return Kind.ENUM, None, tuple(part.strip() for part in told.split(",")), ""
    word, colon, argument = told.partition(":")
    kind = _TYPES.get(word)
    if kind is None:
        raise Unreadable(f"{where}: there is no type {word!r}. {_HINT}")
    if not colon:
        return kind, None, (), ""
    return kind, size_of(where, kind, argument), (), ""


def size_of(where: str, kind: Kind, told: object) -> int:
    """The size behind a type.

    Raises:
        Unreadable: the type takes none, or not this one.
    """
    most = {Kind.STR: LONGEST_TEXT, Kind.DECIMAL: 12}.get(kind)
    if most is None:
        raise Unreadable(f"{where}: {kind} takes no length. Only str and decimal do: str:200.")
    if not re.fullmatch(r"[0-9]{1,5}", str(told)) or not 1 <= int(str(told)) <= most:
        what = "characters" if kind is Kind.STR else "places"
        raise Unreadable(f"{where}: {kind} has 1 to {most} {what}, not {told!r}.")
    return int(str(told))


def with_transitions(
    entity: Entity, told: Sequence[str], problems: list[str], before: Entity | None = None
) -> Entity:
    """The entity with its transitions, of a status that it may have had ``before``.

    ``pay`` leads to the value that is its participle, ``paid``, from the value before it; a
    participle that is no value becomes one that every value but the last leads to. Anything else
    is written out: ``cancel:draft+placed>cancelled``.
    """
    if not told:
        return entity
    names = {each.name for each in entity.fields}
    earlier = [each for each in (before.enums if before else ()) if each.name not in names]
    likely = {end for text in told for end in participles(text.partition(":")[0])}
    status = status_of([*entity.enums, *earlier], likely | set(re.findall(r"\w+", ",".join(told))))
    if status is None:
        problems.append(
            f"--transitions {','.join(told)}: {entity.name} has no status that they change. Add "
            "its values: status:draft,placed,paid."
        )
        return entity
    members = status.members
    made: list[Transition] = []
    for text in told:
        found = _TRANSITION.fullmatch(text)
        if found is None:
            problems.append(f"--transitions {text}: write pay, or pay:placed>paid.")
        elif found["end"]:
            start = tuple(found["start"].split("+"))
            made.append(Transition(verb=found["verb"], start=start, end=found["end"]))
        else:
            made.append(_guessed(text, members))
    entity = replace(entity, transitions=tuple(made))
    return entity if status in earlier else entity.with_statuses()


def _guessed(verb: str, members: tuple[str, ...]) -> Transition:
    ends = participles(verb)
    end = next((each for each in ends if each in members[1:]), None)
    if end is None:
        return Transition(verb=verb, start=members[:-1] or members, end=ends[0])
    return Transition(verb=verb, start=(members[members.index(end) - 1],), end=end)
