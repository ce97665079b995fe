"""What keeps entities from being generated: every fault, each with its place and its mend."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from backstay.blueprints.entities.declared import declared, python_types
from backstay.blueprints.entities.description import (
    Child,
    Entity,
    Field,
    Kind,
    Known,
    child_class,
    child_table,
)
from backstay.blueprints.entities.vocabulary import (
    RESERVED_CLASSES,
    RESERVED_FIELDS,
    SOURCES,
    TYPE_NAMES,
)
from backstay.blueprints.words import (
    BUILT_IN,
    CLASS,
    SNAKE,
    camel,
    listed,
    name_fault,
    plural_fault,
    singular,
)

_MOST_FIELDS = 100
_LONGEST_MEMBER = 64
_LONGEST_TABLE = 40
_ACTIONS = frozenset({"create", "read", "list", "update", "delete", "restore", "replace", "export"})
_VARIABLES = frozenset(SOURCES) | {
    *("answer", "answers", "changes", "clock", "command", "context", "fields", "found", "made"),
    *("name", "owner", "parent", "path", "principal", "query", "reader", "row", "rows", "send"),
    *(
        "session",
        "sort",
        "to",
        "value",
        "move",
        "body",
        "created",
        "make",
        "ann",
        "count",
        "feature",
    ),
}
"""What generated functions and modules call something else."""
_CONSTANTS = frozenset({"NEXT", "NUMBERS", "SINGLE_LETTERS"})
_MEANT = _VARIABLES | TYPE_NAMES
_LONGEST_VALUE = 80
"""Characters of the name of an enumeration together with that of a value: they stay in one line."""


@dataclass(frozen=True)
class Taken:
    """What the project and the package have already, apart from the entities themselves.

    Attributes:
        tables: by table, who has it.
        features: by name, who has it.
        messages: the classes of messages of the package, whose names are unique.
        known: by name, the entities that references may name.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    messages: frozenset[str] = frozenset()
    known: Mapping[str, Known] = field(default_factory=dict)


def faults_of(entities: Iterable[Entity], taken: Taken) -> list[str]:
    """Everything that is wrong with the descriptions, alone and together."""
    entities = list(entities)
    faults = [fault for entity in entities for fault in _alone(entity)]
    faults += _doubled(entities)
    for entity in entities:
        faults += _collisions(entity, taken)
        faults += _references(entity, entities, taken)
    if circle := _circle(entities):
        faults.append(
            f"{' → '.join(circle)}: these refer to each other in a circle, so that no table could "
            "be made first. Leave one reference out, and keep it in a field of type uuid."
        )
    return faults


def _alone(entity: Entity) -> Iterator[str]:
    name = entity.name
    if fault := name_fault(name, CLASS, "an entity"):
        yield fault
    elif name in RESERVED_CLASSES or entity.one in _VARIABLES or entity.constant in _CONSTANTS:
        yield f"{name}: generated code uses this name for something else. Choose another one."
    if fault := name_fault(entity.plural, SNAKE, "a table", like="rigs or purchase_orders"):
        yield f"{name}: {fault} Say the plural with --plural (table)."
    elif fault := plural_fault(entity.one, entity.plural):
        yield f"{name}: {fault}"
    if not entity.written and not entity.children:
        yield f"{name}: it has no field that clients write. Name one: name:str."
    if len(entity.fields) > _MOST_FIELDS:
        yield f"{name}: it has over {_MOST_FIELDS} fields. Split it."
    yield from _fields(name, entity.fields, entity)
    for child in entity.children:
        yield from _child(entity, child)
    yield from _types(entity)
    yield from _transitions(entity)


def _fields(where: str, fields: tuple[Field, ...], entity: Entity | None) -> Iterator[str]:
    seen: set[str] = set()
    for each in fields:
        place = f"{where}.{each.name}"
        if each.name in seen:
            yield f"{place}: this field is there twice. Leave one out."
        seen.add(each.name)
        yield from _field(place, each)
        if entity is not None and each.name == "owner_id" and entity.owned:
            yield f"{place}: --owned makes this column. Leave the field out."
        if entity is not None and each.name in {child.name for child in entity.children}:
            yield f"{place}: the children have this name, too. Rename one of them."


def _field(place: str, each: Field) -> Iterator[str]:
    if fault := name_fault(each.name, SNAKE, "a field"):
        yield f"{place}: {fault}"
    elif each.name in TYPE_NAMES:
        yield f"{place}: the name is that of a type. Choose another one, such as {each.name}_value."
    elif why := RESERVED_FIELDS.get(each.name):
        yield f"{place}: {why}. Choose another name."
    elif "__" in each.name or each.name.startswith("model_"):
        yield f"{place}: names with two underscores or with model_ in front mean something else."
    if each.kind is Kind.JSON and each.name == "format":
        yield f"{place}: PostgreSQL reads `format JSON` as words of its own. Choose another name."
    if each.kind is Kind.JSON and each.unique:
        yield f"{place}: json cannot be unique. Leave out the !."
    if each.kind in {Kind.TEXT, Kind.BOOL} and each.unique:
        yield f"{place}: {each.kind} cannot be unique. Leave out the !, or take str."
    if each.kind is Kind.ENUM:
        yield from _members(place, each)


def _members(place: str, each: Field) -> Iterator[str]:
    if len(set(each.members)) != len(each.members) or len(each.members) < 2:
        yield f"{place}: an enumeration has two different values or more: draft,placed,paid."
    for member in each.members:
        if not SNAKE.fullmatch(member) or len(member) > _LONGEST_MEMBER:
            yield (
                f"{place}: the value {member!r} is no word of lower-case letters, digits and "
                f"underscores with at most {_LONGEST_MEMBER} characters."
            )
    if each.unique:
        yield f"{place}: an enumeration cannot be unique. Leave out the !."


def _child(entity: Entity, child: Child) -> Iterator[str]:
    place = f"{entity.name}.{child.name}"
    if fault := name_fault(child.name, SNAKE, "children", like="lines"):
        yield f"{place}: {fault}"
    elif (
        child.name in {*RESERVED_FIELDS, *BUILT_IN}
        or _MEANT & {child.name, singular(child.name)}
        or child.name == entity.plural
    ):
        yield f"{place}: generated code uses this name for something else. Choose another one."
    elif child_class(entity, child) in {entity.name, entity.name + camel(child.name)}:
        yield f"{place}: children have a plural, such as lines: their class is in the singular."
    if len(child_table(entity, child)) > _LONGEST_TABLE:
        yield f"{place}: the table {child_table(entity, child)} has too long a name. Shorten it."
    if not child.fields:
        yield f"{place}: it has no field. Name one: lines:article:str."
    for each in child.fields:
        if each.kind is Kind.REF or each.unique:
            yield (
                f"{place}.{each.name}: children have no references and nothing unique. Make it an "
                f"entity of its own: {each.name}:ref({entity.name})."
            )
        if each.name == f"{entity.one}_id":
            yield f"{place}.{each.name}: this column is there anyway. Leave the field out."
    yield from _fields(place, child.fields, None)


def _types(entity: Entity) -> Iterator[str]:
    """What is wrong with the names of generated classes."""
    names = Counter(name for names in declared(entity).values() for name in names)
    for each, python in python_types(entity):
        place = f"{entity.name}.{each.name}"
        if names[python] > 1:
            yield f"{place}: generated code has a {python} anyway. Choose another name."
        for member in each.members:
            if len(python) + len(member) > _LONGEST_VALUE:
                yield f"{place}: {python}.{member.upper()} is too long for a line. Shorten it."
    for child in entity.children:
        if names[child_class(entity, child)] > 1:
            python = child_class(entity, child)
            yield (
                f"{entity.name}.{child.name}: generated code has a {python} anyway. Choose another "
                "name."
            )


def _transitions(entity: Entity) -> Iterator[str]:
    seen: set[str] = set()
    status = entity.status
    members = status.members if status else ()
    for each in entity.transitions:
        place = f"{entity.name}, transition {each.verb}"
        if fault := name_fault(
            each.verb, SNAKE, "a transition", like="pay or hand_over", sql=False
        ):
            yield f"{place}: {fault}"
        elif each.verb in _ACTIONS or each.verb in seen:
            yield f"{place}: there is a command of this name already. Choose another one."
        seen.add(each.verb)
        for value in (*each.start, each.end):
            if value not in members:
                yield f"{place}: {value!r} is no value of it; there are {listed(members)}."
        if each.end in each.start:
            yield f"{place}: it leads from {each.end!r} to itself."
    if status and status.nullable:
        yield f"{entity.name}.{status.name}: a status with transitions is never null."


def _doubled(entities: list[Entity]) -> Iterator[str]:
    names: dict[str, str] = {}
    for entity in entities:
        for name in {entity.name, *entity.tables, *_classes(entity)}:
            if name in names:
                yield f"{entity.name}: {names[name]} has the name {name}, too. Rename one of them."
            names[name] = entity.name


def _classes(entity: Entity) -> Iterator[str]:
    yield from (child_class(entity, child) for child in entity.children)


def _collisions(entity: Entity, taken: Taken) -> Iterator[str]:
    for table in entity.tables:
        if owner := taken.tables.get(table):
            yield f"{entity.name}: {owner} has the table {table}. Give another --plural (table)."
    if (owner := taken.features.get(entity.plural)) and entity.plural not in taken.tables:
        yield (
            f"{entity.name}: {owner} has a feature {entity.plural}, which names permissions, too. "
            "Give another --plural (table)."
        )
    for name in messages_of(entity):
        if name in taken.messages:
            yield f"{entity.name}: there is a message {name} already. Choose another name."


def messages_of(entity: Entity) -> Iterator[str]:
    """The names of the messages that are generated for it."""
    yield from (f"{verb}{entity.name}" for verb in ("Create", "Get", "Update", "Replace", "Delete"))
    yield f"List{entity.many}"
    yield from (f"{camel(each.verb)}{entity.name}" for each in entity.transitions)


def _references(entity: Entity, entities: list[Entity], taken: Taken) -> Iterator[str]:
    there = {each.name for each in entities} | taken.known.keys()
    for ref in entity.refs:
        if ref.target not in there:
            yield (
                f"{entity.name}.{ref.name}: there is no entity {ref.target}. There are "
                f"{listed(sorted(there))}: add it first, or in the same entities.json."
            )
        if ref.target == entity.name and not ref.nullable:
            yield (
                f"{entity.name}.{ref.name}: the first row could refer to none. Let it be null: "
                f"{ref.name.removesuffix('_id')}:ref({entity.name})?"
            )


def _circle(entities: list[Entity]) -> list[str]:
    """The names along references that come back to where they began; empty if there are none."""
    left = {entity.name: entity for entity in entities}
    while left:
        free = [name for name, each in left.items() if not _inside(each, left)]
        if not free:
            break
        for name in free:
            del left[name]
    way = [*left][:1]
    while way:
        target = _inside(left[way[-1]], left)[0]
        if target in way:
            return [*way[way.index(target) :], target]
        way.append(target)
    return []


def _inside(entity: Entity, left: Mapping[str, Entity]) -> list[str]:
    """The others of these that it refers to."""
    return [ref.target for ref in entity.refs if ref.target in left and ref.target != entity.name]
