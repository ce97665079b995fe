"""Puts settings into words: types, defaults, values with secrets masked."""

from enum import Enum
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from pydantic import SecretStr

from backstay.core.rates import Rate
from backstay.settings.group import AtMost, Default, InLocal, Kind, Variable
from backstay.settings.values import write_rate

MASK = "********"

_WORDS: dict[object, str] = {bool: "true or false"}


def shown(value: object) -> str:
    """Write a value as it would be set, with secrets masked."""
    if value is None or value == "":
        return ""
    if isinstance(value, tuple):
        return ", ".join(shown(entry) for entry in value)
    if isinstance(value, Rate):
        return write_rate(value)
    if type(value) is SecretStr:
        return MASK if value else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind(variable: Variable) -> str:
    """Say what a value has to be."""
    if mark := variable.marker(Kind):
        limit = variable.marker(AtMost)
        return f"{mark.text}, at most {limit.most}" if limit else mark.text
    annotation = _without_none(variable.info.annotation)
    if get_origin(annotation) is Literal:
        return _alternatives(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _alternatives(tuple(annotation))
    return _WORDS.get(annotation, "text")


def default(variable: Variable, *, local: bool) -> str:
    """Write the default as it would be set."""
    if mark := variable.marker(Default):
        return mark.text
    in_local = variable.marker(InLocal) if local else None
    return shown(in_local.value if in_local else variable.info.default)


def _without_none(annotation: object) -> object:
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    return next(part for part in get_args(annotation) if part is not type(None))


def _alternatives(values: tuple[object, ...]) -> str:
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}"
