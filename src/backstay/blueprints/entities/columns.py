"""How a field is written in each module of its feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from backstay.blueprints.entities.declared import declared, python_type
from backstay.blueprints.entities.description import (
    Child,
    Entity,
    Field,
    Kind,
    Known,
    child_class,
    child_table,
)
from backstay.blueprints.entities.values import LENGTH, places
from backstay.blueprints.entities.vocabulary import RESERVED_CLASSES
from backstay.blueprints.words import article, camel, singular, spoken, variable

_PLAIN = {
    Kind.STR: "str",
    Kind.TEXT: "str",
    Kind.INT: "int",
    Kind.FLOAT: "float",
    Kind.BOOL: "bool",
    Kind.DATETIME: "datetime",
    Kind.DATE: "date",
    Kind.MONEY: "Money",
    Kind.UUID: "UUID",
}
_MOST_CHILDREN = 100


@dataclass(frozen=True)
class Shown:
    """A field, with the texts of Python that stand for it."""

    field: Field
    owner: str
    known: Known | None
    taken: frozenset[str]
    is_partial: bool

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def kind(self) -> Kind:
        return self.field.kind

    @property
    def nullable(self) -> bool:
        return self.field.nullable

    @property
    def members(self) -> tuple[str, ...]:
        return self.field.members

    @cached_property
    def python(self) -> str:
        """Its own type in the model: that of an enumeration, or of decimals."""
        return python_type(self.owner, self.field)

    @property
    def about(self) -> str:
        return f"The {spoken(self.name)} of {article(spoken(self.owner))}."

    @property
    def decimal(self) -> str:
        return f"Annotated[Decimal, FixedPoint(digits=18, places={places(self.field)})]"

    @property
    def _type(self) -> str:
        """The type of a value that is not null."""
        if self.kind in {Kind.ENUM, Kind.DECIMAL}:
            return self.python
        if self.kind is Kind.REF:
            made = self.known.made_by if self.known else None
            return "int" if made is not None and made.integer_key else "UUID"
        return _PLAIN.get(self.kind, "")

    @property
    def _null(self) -> str:
        return " | None" if self.nullable else ""

    @property
    def column_type(self) -> str:
        """Inside of ``Mapped[…]``."""
        return (self._type or "dict[str, Any]") + self._null

    @property
    def column(self) -> str:
        """The arguments of ``mapped_column``; empty if it takes none."""
        field = self.field
        parts = {
            Kind.STR: [f"String({field.size or LENGTH})"],
            Kind.TEXT: ["Text"],
            Kind.JSON: ["JSON"],
            Kind.REF: [f'ForeignKey("{self.known.table if self.known else ""}.id")'],
        }.get(self.kind, [])
        if field.unique and not self.is_partial:
            parts = [*parts, "unique=True"]
        elif self.kind is Kind.REF and not field.unique:
            parts = [*parts, "index=True"]
        if field.default is not None:
            parts = [*parts, f"default={self.default}", f"server_default={self.server_default}"]
        return ", ".join(parts)

    @property
    def default(self) -> str:
        """The default in Python."""
        value = self.field.default
        if self.kind is Kind.ENUM:
            return f"{self.python}.{value.upper()}"
        if self.kind in {Kind.MONEY, Kind.DECIMAL}:
            return f'Decimal("{value}")'
        return _quoted(value) if isinstance(value, str) else repr(value)

    @property
    def server_default(self) -> str:
        """The default of the column, which rows get that are older than the column."""
        value = self.field.default
        if self.kind is Kind.BOOL:
            return "true()" if value else "false()"
        if self.kind in {Kind.MONEY, Kind.DECIMAL}:
            whole, _, behind = str(value).partition(".")
            units = int(whole + behind.ljust(places(self.field), "0"))
            return f'"{units}"'
        return _quoted(str(value))

    @cached_property
    def alias(self) -> str:
        """The name of the type with the constraints of its values; empty if it has none."""
        if not self.alias_type:
            return ""
        name = camel(self.name)
        return f"{self.owner}{name}" if name in self.taken else name

    @property
    def alias_type(self) -> str:
        field = self.field
        if self.kind is Kind.STR:
            size = field.size or LENGTH
            return f"Annotated[str, StringConstraints(min_length=1, max_length={_number(size)})]"
        if self.kind is Kind.TEXT:
            least = "" if self.nullable else "min_length=1, "
            return f"Annotated[str, StringConstraints({least}max_length=10_000)]"
        if self.kind is Kind.INT:
            return "Annotated[int, Field(ge=-(2**31), lt=2**31)]"
        if self.kind is Kind.FLOAT:
            return "Annotated[float, Field(allow_inf_nan=False)]"
        return ""

    @property
    def message_type(self) -> str:
        """The type in commands."""
        kinds = {Kind.DATETIME: "AwareDatetime", Kind.JSON: "dict[str, JsonValue]"}
        return (self.alias or kinds.get(self.kind) or self._type) + self._null

    @property
    def message_default(self) -> str:
        if self.field.default is not None:
            return f" = {self.default}"
        return " = None" if self.nullable else ""

    @property
    def view_type(self) -> str:
        """The type in views."""
        return (self._type or "dict[str, JsonValue]") + self._null

    @property
    def filter(self) -> str:
        """The type of the filter of lists; empty if there is none."""
        if self.kind in {Kind.STR, Kind.TEXT}:
            return "Text"
        if self.kind is Kind.JSON:
            return ""
        kind = "Equals" if self.kind in {Kind.BOOL, Kind.UUID, Kind.ENUM, Kind.REF} else "Range"
        return f"{kind}[{self._type}]"


@dataclass(frozen=True)
class ShownChild:
    """Rows that belong to an entity, with the texts of Python that stand for them."""

    name: str
    cls: str
    table: str
    row: str
    parent: str
    alias: str
    fields: list[Shown]
    most: int = _MOST_CHILDREN

    @property
    def about(self) -> str:
        return f"One of the {self.name.replace('_', ' ')} of {article(spoken(self.parent))}."

    @property
    def new_about(self) -> str:
        return f"One of the {self.name.replace('_', ' ')}, as clients send it."

    @property
    def select(self) -> str:
        return self.name.upper()


def shown(field: Field, entity: Entity, known: Mapping[str, Known]) -> Shown:
    """The field of an entity, ready to be written."""
    taken = _taken(entity) | _aliases(entity)
    return Shown(field, entity.name, known.get(field.target), taken, entity.soft_delete)


def child_of(child: Child, entity: Entity, known: Mapping[str, Known]) -> ShownChild:
    """The children of an entity, ready to be written."""
    cls, taken = child_class(entity, child), _taken(entity)
    others = (each.fields for each in entity.children if each is not child)
    seen = {camel(field.name) for fields in (entity.fields, *others) for field in fields}
    others_too = taken | seen | _aliases(entity)
    fields = [Shown(field, cls, None, others_too, False) for field in child.fields]
    name = camel(child.name)
    alias = f"{entity.name}{name}" if name in taken | seen else name
    table, row = child_table(entity, child), variable(singular(child.name))
    return ShownChild(child.name, cls, table, row, entity.name, alias, fields)


def _taken(entity: Entity) -> frozenset[str]:
    """The names that the constraints of a field cannot have."""
    own = {name for names in declared(entity).values() for name in names}
    return frozenset({*own, entity.many, entity.constant} | RESERVED_CLASSES)


def _aliases(entity: Entity) -> set[str]:
    return {camel(child.name) for child in entity.children}


def _number(value: int) -> str:
    return f"{value:_}" if value >= 10_000 else str(value)


def _quoted(text: str) -> str:
    """A text of Python, in double quotes where ruff would have them."""
    escaped = text.replace("\\", "\\\\")
    mark = "'" if text.count('"') > text.count("'") else '"'
    return mark + escaped.replace(mark, f"\\{mark}") + mark
