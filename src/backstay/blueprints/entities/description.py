"""What an entity is: the description that the command line and `entities.json` give alike."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from backstay.blueprints.words import camel, plural, singular, snake, spoken, variable


class Kind(StrEnum):
    """The type of a field."""

    STR = "str"
    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    DATETIME = "datetime"
    DATE = "date"
    DECIMAL = "decimal"
    MONEY = "money"
    UUID = "uuid"
    JSON = "json"
    ENUM = "enum"
    REF = "ref"


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of an entity.

    Attributes:
        size: the most characters of a ``str``; the places behind the point of a ``decimal``.
        members: the values of an enumeration, the first being the default.
        target: the entity that a reference refers to; the name of the field then ends in ``_id``.
        default: the value of rows that are created without one, as JSON has it.
    """

    name: str
    kind: Kind
    size: int | None = None
    members: tuple[str, ...] = ()
    target: str = ""
    nullable: bool = False
    unique: bool = False
    default: Any = None

    @property
    def is_optional(self) -> bool:
        """Whether a row may be created without it."""
        return self.nullable or self.default is not None


@dataclass(frozen=True, kw_only=True)
class Child:
    """Rows that belong to a row of an entity, such as the lines of an order."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, kw_only=True)
class Transition:
    """A change of the status that is a command of its own, such as ``pay``."""

    verb: str
    start: tuple[str, ...]
    end: str


@dataclass(frozen=True, kw_only=True)
class Entity:
    """An entity, of which one feature is generated.

    Attributes:
        name: in the singular, as a class: ``PurchaseOrder``.
        plural: the table, the feature and the permissions: ``purchase_orders``.
        owned: each row belongs to the user who creates it.
        soft_delete: rows are hidden, and can be restored.
        integer_key: ids are numbers that the database counts, instead of UUIDs.
    """

    name: str
    plural: str
    fields: tuple[Field, ...]
    owned: bool = False
    soft_delete: bool = False
    integer_key: bool = False
    children: tuple[Child, ...] = ()
    transitions: tuple[Transition, ...] = ()

    @cached_property
    def one(self) -> str:
        """As part of the name of a function or a column: ``purchase_order``."""
        return snake(self.name)

    @property
    def variable(self) -> str:
        """What holds a row; it hides no function of Python: ``property_`` for a ``Property``."""
        return variable(self.one)

    @property
    def spoken(self) -> str:
        """In a sentence: ``purchase order``."""
        return spoken(self.name)

    @property
    def spoken_plural(self) -> str:
        """In a sentence: ``purchase orders``."""
        return self.plural.replace("_", " ")

    @property
    def many(self) -> str:
        """As part of the name of a class: ``PurchaseOrders``."""
        return camel(self.plural)

    @property
    def constant(self) -> str:
        """The resource: ``PURCHASE_ORDERS``."""
        return self.plural.upper()

    @property
    def path(self) -> str:
        """The address: ``/purchase-orders``."""
        return f"/{self.plural.replace('_', '-')}"

    @property
    def status(self) -> Field | None:
        """The field that transitions change; without transitions none."""
        values = {value for each in self.transitions for value in (*each.start, each.end)}
        return status_of(self.enums, values) if self.transitions else None

    @property
    def enums(self) -> tuple[Field, ...]:
        """The fields with named values."""
        return tuple(field for field in self.fields if field.kind is Kind.ENUM)

    @property
    def refs(self) -> tuple[Field, ...]:
        """The fields that refer to another row."""
        return tuple(field for field in self.fields if field.kind is Kind.REF)

    @property
    def written(self) -> tuple[Field, ...]:
        """The fields that clients write: all but the status of transitions."""
        return tuple(field for field in self.fields if field != self.status)

    @property
    def tables(self) -> tuple[str, ...]:
        """Its tables, that of the entity first."""
        return (self.plural, *(child_table(self, child) for child in self.children))

    def options(self) -> dict[str, Any]:
        """The description as JSON; `of` reads it back."""
        return {
            "name": self.name,
            "plural": self.plural,
            "fields": [_options(field) for field in self.fields],
            "owned": self.owned,
            "soft_delete": self.soft_delete,
            "integer_key": self.integer_key,
            "children": [
                {"name": child.name, "fields": [_options(field) for field in child.fields]}
                for child in self.children
            ],
            "transitions": [
                {"verb": each.verb, "start": list(each.start), "end": each.end}
                for each in self.transitions
            ],
        }

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Entity":
        """The entity that `options` described."""
        return cls(
            name=options["name"],
            plural=options["plural"],
            fields=tuple(map(_field, options["fields"])),
            owned=options["owned"],
            soft_delete=options["soft_delete"],
            integer_key=options["integer_key"],
            children=tuple(
                Child(name=each["name"], fields=tuple(map(_field, each["fields"])))
                for each in options["children"]
            ),
            transitions=tuple(
                Transition(verb=each["verb"], start=tuple(each["start"]), end=each["end"])
                for each in options["transitions"]
            ),
        )

    def with_statuses(self) -> "Entity":
        """With every status that a transition leads to among the values of its status."""
        status = self.status
        if status is None:
            return self
        ends = (each.end for each in self.transitions)
        members = tuple(dict.fromkeys((*status.members, *ends)))
        fields = (
            replace(each, members=members) if each == status else each for each in self.fields
        )
        return replace(self, fields=tuple(fields))


def _options(field: Field) -> dict[str, Any]:
    told = {
        "size": field.size,
        "members": list(field.members),
        "target": field.target,
        "nullable": field.nullable,
        "unique": field.unique,
        "default": field.default,
    }
    return {"name": field.name, "kind": field.kind.value} | {
        name: value
        for name, value in told.items()
        if value not in (None, [], "", False) or (name == "default" and value is not None)
    }


def _field(options: Mapping[str, Any]) -> Field:
    values = {**options, "kind": Kind(options["kind"])}
    return Field(**{**values, "members": tuple(values.get("members", ()))})


def status_of(enums: Sequence[Field], values: Set[str]) -> Field | None:
    """The enumeration that transitions change: it has most of their values; else by its name."""

    def likeness(each: Field) -> tuple[int, bool]:
        return len(values & set(each.members)), each.name in {"status", "state"}

    return max(enums, key=likeness, default=None)


def child_class(entity: Entity, child: Child) -> str:
    """The class of the rows: ``OrderLine`` for the ``lines`` of an ``Order``."""
    return entity.name + camel(singular(child.name))


def child_table(entity: Entity, child: Child) -> str:
    """The table of the rows: ``order_lines``."""
    return plural(snake(child_class(entity, child)))


@dataclass(frozen=True)
class Known:
    """An entity that references may name, and how to see to it that its row exists.

    Attributes:
        table: of the entity.
        feature: that the manifest requires.
        message: the query that refuses a row that the caller must not see, with its module and
            the field that takes the id.
        as_system: whether only the application itself may send that query.
        made_by: its own description, where it was generated.
    """

    name: str
    table: str
    feature: str
    message: str
    module: str
    key: str = "id"
    as_system: bool = False
    made_by: Entity | None = None


USER = Known(
    "User",
    "users",
    "access",
    "RequireUser",
    "backstay.features.access.queries.accounts",
    key="user_id",
    as_system=True,
)


def known_of(entity: Entity, project: str) -> Known:
    """A generated entity, as others refer to it."""
    module = f"{project}.features.{entity.plural}.queries"
    message = f"Get{entity.name}"
    return Known(entity.name, entity.plural, entity.plural, message, module, made_by=entity)
