"""Makes forms from the fields of messages, and reads what a person has filled in.

What is read is the request that a client of the API would have sent; only the API's own rules
decide whether it is valid.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from backstay.admin.operations import Operation, words
from backstay.admin.sending import Pairs
from backstay.admin.tables import in_utc
from backstay.core.errors import FieldError, Invalid
from backstay.core.introspection import MessageField, fields_of
from backstay.core.masking import tells_secret
from backstay.core.permissions import PermissionSpec, Source
from backstay.core.principal import Principal

PATH = "path."
_LONG = 300
"""A text that may be longer gets several lines."""
_FORMATS = {
    "date-time": "datetime-local",
    "date": "date",
    "email": "email",
    "password": "password",
}
_TYPES = {"integer": "number", "number": "number", "object": "json", "array": "json"}


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a form, for a ``field`` of the message; ``was`` is what it held at first.

    The name of one for a parameter of the path begins with ``path.``.

    ``kind`` is ``text``, ``password``, ``email``, ``number``, ``date``, ``datetime-local``,
    ``select``, ``textarea``, ``lines`` (a list, one value on each line) or ``json``.
    """

    name: str
    field: str
    source: Source
    kind: str
    label: str
    required: bool
    nullable: bool
    help: str
    choices: tuple[str, ...] = ()
    step: str | None = None
    value: str = ""
    was: str = ""
    errors: tuple[str, ...] = ()
    is_fixed: bool = False

    @property
    def is_in_path(self) -> bool:
        """Whether it is a parameter of the path: what the command is about."""
        return self.source is Source.PATH

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown again."""
        return self.kind == "password"


def inputs_of(operation: Operation, principal: Principal) -> tuple[Input, ...]:
    """The inputs for the fields of a message, without those that the principal may not name."""
    policy = operation.message.permission
    grant = principal.grant(policy.key) if isinstance(policy, PermissionSpec) else None
    fields = fields_of(operation.message)
    return tuple(
        _input(field, fields, operation)
        for field in fields
        if not _is_parted(field, fields)
        and not _is_inside_list(field, fields)
        and not (grant is not None and grant.refuses(field.source, field.name))
    )


def prefilled(inputs: Sequence[Input], given: Mapping[str, str]) -> tuple[Input, ...]:
    """The inputs with what the address of the form says, such as what it is about."""
    return tuple(
        replace(
            each,
            value=given.get(each.name, each.value),
            is_fixed=each.source is Source.PATH and bool(given.get(each.name)),
        )
        if not each.is_secret
        else each
        for each in inputs
    )


def filled(inputs: Sequence[Input], values: Mapping[str, Any]) -> tuple[Input, ...]:
    """The inputs with the values of an object, as the API shows it."""
    shown = ((each, _text(_at(values, each.field), each.kind)) for each in inputs)
    return tuple(
        replace(each, value=text, was=text)
        if each.source is Source.JSON and not each.is_secret
        else each
        for each, text in shown
    )


def submitted(inputs: Sequence[Input], form: Mapping[str, str]) -> tuple[Input, ...]:
    """The inputs with what a person has sent; secrets are not shown again."""
    return tuple(
        replace(
            each,
            value="" if each.is_secret else form.get(each.name, ""),
            was=form.get(f"was.{each.name}", ""),
        )
        for each in inputs
    )


def with_errors(
    inputs: Sequence[Input], errors: Sequence[FieldError]
) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """The inputs with the messages about them, and the messages that are about none."""
    names = sorted((each.field for each in inputs), key=len, reverse=True)
    about: dict[str, list[str]] = {}
    rest = []
    for error in errors:
        is_near = (n for n in names if error.field == n or error.field.startswith(f"{n}."))
        name = next(is_near, None)
        if name is None:
            rest.append(f"{error.field}: {error.message}")
        else:
            about.setdefault(name, []).append(error.message)
    marked = (replace(each, errors=tuple(about.get(each.field, ()))) for each in inputs)
    return tuple(marked), tuple(rest)


@dataclass(frozen=True, slots=True)
class Filled:
    """The parts of a request that a form fills in."""

    path: dict[str, str]
    query: Pairs
    body: dict[str, Any]


def read(operation: Operation, inputs: Sequence[Input], form: Mapping[str, str]) -> Filled:
    """The parts of the request that a form stands for.

    A field is left out if it was not filled in, or is as it was and the command changes only what
    is named.

    Raises:
        Invalid: a field that takes JSON has something else.
    """
    found = Filled({}, [], {})
    is_partial = operation.method == "PATCH"
    for each in inputs:
        text = form.get(each.name, "")
        if each.source is Source.PATH:
            found.path[each.name.removeprefix(PATH)] = text
            continue
        was = form.get(f"was.{each.name}", "")
        if is_partial and text == was:
            continue
        known, value = _value(each, text, was=was, replaces=operation.message.replaces)
        if not known:
            continue
        if each.source is Source.QUERY:
            found.query.append((each.field, value))
        else:
            _put(found.body, each.field, value)
    return found


def _value(each: Input, text: str, *, was: str, replaces: bool) -> tuple[bool, Any]:
    """Whether a field is sent, and with what; texts of all types are read by the message."""
    if not text.strip():
        if was or replaces:
            return True, None if each.nullable else ""
        is_text = each.kind in {"text", "textarea", "password", "email"}
        return each.required and is_text, ""
    if each.kind == "json":
        try:
            return True, from_json(text)  # to the depth that the API reads
        except ValueError:
            fault = FieldError(each.name, "json", "This is not JSON")
            raise Invalid("1 field is not valid.", errors=(fault,)) from None
    if each.kind == "lines":
        return True, [line.strip() for line in text.splitlines() if line.strip()]
    return True, in_utc(text) if each.kind == "datetime-local" else text


def _input(field: MessageField, fields: Sequence[MessageField], operation: Operation) -> Input:
    kind, choices = _kind(field, fields)
    of_lists = "One value on each line." if kind == "lines" else ""
    about = field.description or of_lists or ("UTC" if kind == "datetime-local" else "")
    spec = operation.route.spec
    parameter = {spec.path_names.get(name, name): name for name in operation.parameters}
    in_path = field.source is Source.PATH
    return Input(
        name=PATH + parameter[field.name] if in_path else field.name,
        field=field.name,
        source=field.source,
        kind=kind,
        label=words(field.name.replace(".", " ")),
        required=field.required,
        nullable=field.nullable,
        help=about,
        choices=choices,
        step={"integer": "1", "number": "any"}.get(field.type),
        value=_text(field.constraints.get("default"), kind),
    )


def _kind(field: MessageField, fields: Sequence[MessageField]) -> tuple[str, tuple[str, ...]]:
    told = field.constraints
    if "enum" in told:
        return "select", tuple(map(str, told["enum"]))
    if field.type == "boolean":
        return "select", ("true", "false")
    if tells_secret(field.name):
        return "password", ()
    if field.type == "array" and not any(e.name.startswith(f"{field.name}.") for e in fields):
        return "lines", ()
    known = _TYPES.get(field.type) or _FORMATS.get(told.get("format", ""))
    return known or ("textarea" if told.get("maxLength", 0) > _LONG else "text"), ()


def _is_parted(field: MessageField, fields: Sequence[MessageField]) -> bool:
    """Whether it is an object whose fields have inputs of their own."""
    return field.type == "object" and any(e.name.startswith(f"{field.name}.") for e in fields)


def _is_inside_list(field: MessageField, fields: Sequence[MessageField]) -> bool:
    lists = (each.name for each in fields if each.type == "array")
    return any(field.name.startswith(f"{name}.") for name in lists)


def _text(value: Any, kind: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and kind == "lines":
        return "\n".join(map(str, value))
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return str(value)[:19] if kind == "datetime-local" else str(value)


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    *outer, last = name.split(".")
    for part in outer:
        body = body.setdefault(part, {})
    body[last] = value


def compared(
    inputs: Sequence[Input], current: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    """The fields that somebody else has changed since, or that were to be changed.

    Each is its label, the value when the form was made, the value now, and the one that was sent.
    """
    for each in inputs:
        if each.source is Source.JSON and not each.is_secret:
            now = _text(_at(current, each.field), each.kind)
            if not each.was == now == each.value:
                yield each.label, each.was, now, each.value
