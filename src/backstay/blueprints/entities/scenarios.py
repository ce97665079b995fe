"""What the generated tests of an entity send and expect."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backstay.blueprints.entities.description import Entity, Field, Kind, Known
from backstay.blueprints.entities.values import LENGTH, places, samples
from backstay.blueprints.words import article, spoken

_UNIQUE = {
    Kind.STR: 'f"Aster {next(NUMBERS)}"',
    Kind.INT: "next(NUMBERS)",
    Kind.FLOAT: "next(NUMBERS) + 0.5",
    Kind.DATE: 'f"{2000 + next(NUMBERS)}-01-02"',
    Kind.DATETIME: 'f"{2000 + next(NUMBERS)}-01-02T03:04:05Z"',
    Kind.UUID: "str(uuid4())",
}
_LETTER = "next(SINGLE_LETTERS)"
_ANOTHER_USER = "await another_user(person)"
_FEW, _SHORT = 4, 12
"""Shorter texts have no room for any number, and for a word before the number."""


def scenario(entity: Entity, known: Mapping[str, Known]) -> dict[str, Any]:
    """The values of the template of the tests."""
    needed = list(_needed(entity, entity.refs, known, {}))
    shown = {each["target"]: each["variable"] for each in needed}
    pairs = [
        (field.name, _sent(field, shown)) for field in entity.written if _is_sent(field, entity)
    ]
    pairs += [(child.name, f"[{{{_pairs(child.fields, {})}}}]") for child in entity.children]
    required = [field.name for field in entity.written if not field.is_optional]
    required += [child.name for child in entity.children]
    filtered = [
        name
        for name, _ in pairs
        if name in {f.name for f in entity.fields if f.kind is not Kind.JSON}
    ]
    sent = [*(value for _, value in pairs), *(each["pairs"] for each in needed)]
    return {
        "needed": needed,
        "has_own_user": any(_ANOTHER_USER in value for value in sent),
        "has_letters": any(_LETTER in value for value in sent),
        "pairs": pairs,
        "unknown": _by_hand(entity, known),
        "by_admin": not _is_open(entity, known, set()),
        "others": list(_others(entity)),
        "wrong": list(_wrong(entity)),
        "required": ", ".join(f'"{name}"' for name in required),
        "filtered": _tuple([*filtered, "created_at"]),
        "searchable_sample": _searched(entity),
        "unique_fields": [f for f in entity.written if f.unique],
        "refs": [_ref(field, entity, known) for field in entity.refs],
        "walks": _walks(entity),
    }


def _by_hand(entity: Entity, known: Mapping[str, Known]) -> list[dict[str, str]]:
    """The functions that a person has to complete, for rows of entities written by hand."""
    found = {
        _unknown(ref): {"name": _unknown(ref), "about": article(spoken(ref.target))}
        for ref in entity.refs
        if ref.target != "User" and known[ref.target].made_by is None
    }
    return list(found.values())


def _tuple(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) + ("," if len(names) == 1 else "")


def _is_sent(field: Field, entity: Entity) -> bool:
    return not (field.kind is Kind.REF and field.target == entity.name)


def _sent(field: Field, made: Mapping[str, str]) -> str:
    if field.kind is Kind.REF:
        if field.target == "User":
            return _ANOTHER_USER if field.unique else "person.id"
        made_here = made.get(field.target)
        return f'{made_here}["id"]' if made_here else f"{_unknown(field)}()"
    if field.unique:
        if field.kind in {Kind.MONEY, Kind.DECIMAL}:
            zeros = "0" * places(field)
            return f'f"{{next(NUMBERS)}}{"." if zeros else ""}{zeros}"'
        if field.kind is Kind.STR and (field.size or LENGTH) < _SHORT:
            is_tiny = (field.size or LENGTH) < _FEW
            return _LETTER if is_tiny else "str(next(NUMBERS))"
        return _UNIQUE[field.kind]
    return samples(field).first


def _pairs(fields: tuple[Field, ...], made: Mapping[str, str]) -> str:
    return ", ".join(f'"{field.name}": {_sent(field, made)}' for field in fields)


def _unknown(field: Field) -> str:
    """The function that makes a row of an entity that was written by hand."""
    return f"{field.name.removesuffix('_id')}_id"


def _needed(
    entity: Entity, refs: Iterable[Field], known: Mapping[str, Known], made: dict[str, str]
) -> Iterator[dict[str, str]]:
    """What has to be created before, each after what it refers to itself."""
    for ref in refs:
        target = known[ref.target]
        if ref.target in {entity.name, "User"} or ref.target in made or target.made_by is None:
            continue
        further = (each for each in target.made_by.refs if not each.is_optional)
        yield from _needed(target.made_by, further, known, made)
        one = target.made_by.one
        made[ref.target] = "somebody" if one == "person" else target.made_by.variable
        fields = tuple(
            field
            for field in target.made_by.written
            if not field.is_optional and _is_sent(field, target.made_by)
        )
        parts = [_pairs(fields, made)] if fields else []
        parts += [
            f'"{child.name}": [{{{_pairs(child.fields, {})}}}]' for child in target.made_by.children
        ]
        yield {
            "target": ref.target,
            "variable": made[ref.target],
            "path": target.made_by.path,
            "pairs": ", ".join(parts),
        }


def _is_open(entity: Entity, known: Mapping[str, Known], seen: set[str]) -> bool:
    """Whether users without a role of the project may create it, and all that it needs."""
    if entity.name in seen:
        return True
    seen.add(entity.name)
    targets = [known[ref.target].made_by for ref in entity.refs]
    return entity.owned and all(
        _is_open(target, known, seen) for target in targets if target is not None
    )


def _others(entity: Entity) -> Iterator[tuple[str, str]]:
    yield "GET", ""
    yield from (("PUT", ""), ("PATCH", ""))
    yield "DELETE", ""
    if entity.soft_delete:
        yield "POST", "/restore"
    for each in entity.transitions:
        yield "POST", f"/{each.verb.replace('_', '-')}"


def _wrong(entity: Entity) -> Iterator[tuple[str, str]]:
    for field in entity.written:
        if field.kind is Kind.REF:
            yield field.name, '"x"'
        else:
            yield from ((field.name, value) for value in samples(field).wrong)
    for child in entity.children:
        yield child.name, "[]"
        yield child.name, '[{"nothing": 1}]'
    if entity.status:
        yield entity.status.name, f'"{entity.status.members[-1]}"'


def _searched(entity: Entity) -> str:
    for field in entity.fields:
        if field.kind in {Kind.STR, Kind.TEXT} and not field.unique:
            return f"{samples(field).first}.upper()"
    return ""


def _ref(field: Field, entity: Entity, known: Mapping[str, Known]) -> dict[str, Any]:
    made = known[field.target].made_by
    is_open = _is_open(entity, known, set())
    return {
        "name": field.name,
        "one": field.name.removesuffix("_id"),
        "integer": made is not None and made.integer_key,
        "hidden": made is not None and made.owned and is_open and field.target != entity.name,
    }


def _walks(entity: Entity) -> list[tuple[str, str]]:
    """For each transition that can happen, the verbs up to it, and where it leads."""
    if entity.status is None:
        return []
    first: str = entity.status.default or entity.status.members[0]
    ways: dict[str, list[str]] = {first: []}
    queue = deque([first])
    found: dict[str, tuple[str, str]] = {}
    while queue:
        status = queue.popleft()
        for each in entity.transitions:
            if status in each.start:
                way = [*ways[status], each.verb.replace("_", "-")]
                found.setdefault(each.verb, (_tuple(way), each.end))
                if each.end not in ways:
                    ways[each.end] = way
                    queue.append(each.end)
    return list(found.values())
