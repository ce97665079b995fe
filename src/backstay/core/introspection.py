"""Describes the fields of a message from its JSON Schema: types, constraints, defaults."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from backstay.core.listing import PAGING, ListQuery
from backstay.core.masking import tells_secret
from backstay.core.messages import Message, View
from backstay.core.permissions import Source

CONSTRAINTS = (
    "format", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
)  # fmt: skip

Schema = Mapping[str, Any]


class MessageField(View):
    """A field of a message; one inside another is named by path, such as `address.city`.

    `constraints` are keywords of JSON Schema, `default` among them unless it is a secret or an
    object. `operators` are those of a filter: `eq` is written `name=`, others `name__operator=`.
    """

    name: str
    source: Source
    type: str
    required: bool
    nullable: bool
    description: str | None
    operators: tuple[str, ...]
    constraints: dict[str, Any]


@cache
def fields_of(message: type[Message[Any]]) -> tuple[MessageField, ...]:
    """The fields of a message in their order, without those that every list has."""
    described, is_list = message.model_json_schema(), issubclass(message, ListQuery)
    defs: Mapping[str, Schema] = described.get("$defs", {})
    schema = next(_options(described, defs))
    return tuple(
        field
        for name, source in message.sources().items()
        if not (is_list and name in PAGING)
        for field in _walk(
            name, source, schema["properties"][name], name in schema.get("required", ()), defs
        )
    )


def _walk(
    path: str, source: Source, described: Schema, required: bool, defs: Mapping[str, Schema]
) -> Iterator[MessageField]:
    """A field and, in a body, the fields inside it."""
    options = list(_options(described, defs))
    values = [option for option in options if option.get("type") != "null"]
    value = values[0] if values else {}
    operators: tuple[str, ...] = ()
    if source is Source.QUERY and "eq" in value.get("properties", {}):
        operators = tuple(value["properties"])
        value = next(_options(value["properties"]["eq"], defs))
    yield MessageField(
        name=path,
        source=source,
        type=value.get("type", "object"),
        required=required,
        nullable=len(values) < len(options) and not operators,
        description=described.get("description"),
        operators=operators,
        constraints=_constraints(value) | ({} if operators else _default(path, described, value)),
    )
    if source is not Source.JSON:
        return
    for option in (*values, *(o for each in values for o in _options(each.get("items", {}), defs))):
        known = {name: each for name, each in defs.items() if name != _target(option)}
        for name, inner in option.get("properties", {}).items():
            is_required = name in option.get("required", ())
            yield from _walk(f"{path}.{name}", source, inner, is_required, known)


def _options(described: Schema, defs: Mapping[str, Schema]) -> Iterator[Schema]:
    """The alternatives of a schema (``anyOf``, ``oneOf``), with references resolved."""
    for option in described.get("anyOf") or described.get("oneOf") or (described,):
        yield {**option, **defs.get(_target(option), {})}


def _target(option: Schema) -> str:
    return str(option.get("$ref", "")).rpartition("/")[2]


def _constraints(value: Schema) -> dict[str, Any]:
    return {keyword: value[keyword] for keyword in CONSTRAINTS if keyword in value}


def _default(path: str, described: Schema, value: Schema) -> dict[str, Any]:
    """The default, unless it is a secret, or has fields of its own, which have theirs."""
    default = described.get("default")
    is_plain = not isinstance(default, (dict, list)) or not default
    is_secret = value.get("writeOnly") or tells_secret(path)
    return {"default": default} if "default" in described and is_plain and not is_secret else {}
