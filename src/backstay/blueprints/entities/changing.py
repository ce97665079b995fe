"""What a further run makes of an entity that is there, and what its rows would not survive."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from backstay.blueprints.entities.description import Child, Entity, Field, Kind, child_table
from backstay.blueprints.words import listed

_WIDER = {(Kind.STR, Kind.TEXT), (Kind.INT, Kind.FLOAT)}
"""Types of columns that a migration turns into others, on both databases, values and all."""


def merged(old: Entity | None, new: Entity) -> Entity:
    """The entity after a further run, which adds and changes, but removes nothing."""
    if old is None:
        return new
    kids = {each.name: each for each in old.children}
    for each in new.children:
        before = kids[each.name].fields if each.name in kids else ()
        kids[each.name] = Child(name=each.name, fields=_fields(before, each.fields))
    verbs = {each.verb: each for each in old.transitions}
    verbs |= {each.verb: each for each in new.transitions}
    return replace(
        old,
        fields=_fields(old.fields, new.fields),
        children=tuple(kids.values()),
        transitions=tuple(verbs.values()),
        owned=old.owned or new.owned,
        soft_delete=old.soft_delete or new.soft_delete,
    ).with_statuses()


def _fields(old: tuple[Field, ...], new: tuple[Field, ...]) -> tuple[Field, ...]:
    found = {each.name: each for each in old} | {each.name: each for each in new}
    return tuple(found.values())


def _columns(entity: Entity) -> dict[tuple[str, str], Field]:
    """The fields by their tables and names, without tables that are told to be new."""
    found = {(entity.plural, each.name): each for each in entity.fields}
    for child in entity.children:
        found |= {(child_table(entity, child), each.name): each for each in child.fields}
    return found


def left_out(old: Entity, told: Entity) -> list[str]:
    """The fields that a further description does not name any more; they stay."""
    return [name for _, name in _columns(old).keys() - _columns(told).keys()]


def impossible(old: Entity, new: Entity) -> Iterator[str]:
    """What no further run can change, since it would change what rows mean."""
    if old.owned != new.owned:
        yield (
            f"{new.name}: rows that are there belong to nobody, so it cannot become owned. Remove "
            f"it and add it again: backstay remove {new.name}"
        )
    before = _columns(old)
    for (table, name), field in _columns(new).items():
        if (was := before.get((table, name))) and (why := _misread(was, field)):
            yield f"{table}.{name}: {why}"


def _misread(was: Field, now: Field) -> str:
    """Why rows could not be read any more; empty if they can."""
    if was.kind is not now.kind and (was.kind, now.kind) not in _WIDER:
        return (
            f"it is {was.kind}, and its values do not become {now.kind} by themselves. Add a field "
            "of another name, and move the values in a migration of yours."
        )
    if was.target != now.target:
        return f"rows refer to {was.target}, not to {now.target}. Add a field of another name."
    if was.kind is Kind.DECIMAL and was.size != now.size:
        return (
            "values are kept without the point, so that other places would change all of them. Add "
            "a field of another name."
        )
    if now.kind is Kind.ENUM and (
        gone := [each for each in was.members if each not in now.members]
    ):
        kept = ",".join(dict.fromkeys((*was.members, *now.members)))
        return f"rows may have the value {listed(gone, 'or')}. Leave it in: {now.name}:{kept}"
    return ""


@dataclass(frozen=True)
class Wanting:
    """A column that is to have a value in every row.

    Attributes:
        is_new: whether no row has one yet; else those have none that have null.
    """

    table: str
    field: Field
    is_new: bool

    @property
    def asked(self) -> str:
        """What `tables_with_rows` is asked: whether rows have no value."""
        return self.table if self.is_new else f"{self.table}.{self.field.name}"

    def __str__(self) -> str:
        field = self.field
        if self.is_new:
            return (
                f"{self.table}.{field.name}: the table has rows, which would have no value. Give "
                f"one: {field.name}:{field.kind}=…, or let it be null: {field.name}:{field.kind}?"
            )
        return (
            f"{self.table}.{field.name}: there are rows that have null. Give them a value first, "
            f"or leave it optional, with a ? behind its type."
        )


def wanting(old: Entity, new: Entity) -> Iterator[Wanting]:
    """The columns of which rows may lack a value."""
    before, there = _columns(old), set(old.tables)
    for (table, name), field in _columns(new).items():
        was = before.get((table, name))
        if was is None and table in there and not field.is_optional:
            yield Wanting(table, field, is_new=True)
        if was is not None and was.nullable and not field.nullable:
            yield Wanting(table, field, is_new=False)
