"""The names that generated code gives to things, so that none is given twice."""

from collections.abc import Iterator

from backstay.blueprints.entities.description import Entity, Field, Kind, child_class
from backstay.blueprints.words import camel

VIEWS = ("Summary", "Head", "Detail", "Export")
_VERBS = ("Create", "Replace", "Update", "Delete", "Restore")


def python_type(owner: str, field: Field) -> str:
    """The class of an enumeration, and the name of a type of decimals: ``OrderStatus``."""
    return f"{owner}{camel(field.name)}"


def declared(entity: Entity) -> dict[str, list[str]]:
    """By module, the classes that the feature declares; a name may be there twice, wrongly."""
    one, many = entity.name, entity.many
    children = [child_class(entity, child) for child in entity.children]
    return {
        "model": [one, *children, *(name for _, name in python_types(entity))],
        "schemas": [
            *(f"{one}{view}" for view in VIEWS),
            *(f"{start}{child}{end}" for child in children for start, end in _OF_CHILDREN),
        ],
        "queries": [f"Get{one}", f"List{many}", f"List{many}OfUser", f"Export{many}"],
        "commands": [
            *(f"{verb}{one}" for verb in _VERBS),
            *(f"{camel(each.verb)}{one}" for each in entity.transitions),
        ],
    }


_OF_CHILDREN = (("New", ""), ("", "View"))


def python_types(entity: Entity) -> Iterator[tuple[Field, str]]:
    """The fields that have types of their own, with the names of these."""
    owners = [(entity.name, entity.fields)]
    owners += [(child_class(entity, child), child.fields) for child in entity.children]
    for owner, fields in owners:
        for field in fields:
            if field.kind in {Kind.ENUM, Kind.DECIMAL}:
                yield field, python_type(owner, field)
