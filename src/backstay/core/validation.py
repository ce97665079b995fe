"""Translates pydantic's validation errors into responses that never repeat submitted values."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, ValidationError
from pydantic_core import PydanticCustomError

from backstay.core.errors import FieldError, Invalid

T = TypeVar("T")
MOST_FAULTS = 20
"""How many faults a response lists, so that a small request never causes a large response."""
MOST_TOLD = 10_000
"""Up to how many faults pydantic is asked to list them; listing more would delay other requests."""
_CONSTRAINTS = {
    *("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"),
    *("field_type", "pattern", "expected", "max_digits", "decimal_places", "whole_digits"),
    *("class_name", "field", "known"),
}
"""The values that a message of pydantic may contain; any other could be a submitted one."""

_OF_LISTS = {"too_short", "too_long", "tuple_type"}
"""Faults of what is a list to a client, and a tuple to pydantic."""

MOST_DEPTH = 20
"""The deepest nesting of an object whose fields another message checks."""


def _not_too_deep(given: dict[str, Any]) -> dict[str, Any]:
    layer: list[Any] = [given]
    for _ in range(MOST_DEPTH):
        layer = [inner for value in layer for inner in _inside(value)]
    if layer:
        raise PydanticCustomError("too_deep", "It may be 20 levels deep")
    return given


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Iterable[Any]", value) if isinstance(value, list) else ()


Fields = Annotated[dict[str, Any], AfterValidator(_not_too_deep)]
"""The fields of another message, which checks them itself."""


def validated(validate: Callable[[Any], T], given: Any, whole: str = "body", inside: str = "") -> T:
    """Validate submitted data with a method of a model, such as ``model_validate``.

    ``whole`` and ``inside`` are those of :func:`invalid`.

    Raises:
        Invalid: the data is not valid.
    """
    try:
        return validate(given)
    except ValidationError as error:
        if error.error_count() > MOST_TOLD:
            raise Invalid(f"{error.error_count()} fields are not valid.") from None
        faults = error.errors(include_url=False, include_input=False)
        raise invalid(faults, whole, inside) from error


def invalid(errors: Sequence[Mapping[str, Any]], whole: str = "body", inside: str = "") -> Invalid:
    """The error for pydantic's validation errors, without the values that caused them.

    ``whole`` is the name for errors that concern no single field. ``inside`` is the field whose
    content was validated, if it was not a whole message.
    """
    errors = _causes(errors)
    faults = tuple(
        FieldError(_path(error, whole, inside), error["type"], _message(error))
        for error in errors[:MOST_FAULTS]
    )
    many = "1 field is" if len(errors) == 1 else f"{len(errors)} fields are"
    return Invalid(f"{many} not valid.", errors=faults)


def _causes(errors: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The errors without those that say a list is too short because an item of it is not valid."""
    if all(error["type"] != "too_short" for error in errors):
        return errors
    above = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in above]


def _path(error: Mapping[str, Any], whole: str, inside: str) -> str:
    named = error.get("ctx", {}).get("field")  # set by a validator of the whole message
    location = (*error["loc"], *([named] if named else ()))
    if inside:
        return ".".join((inside, *map(str, location)))[:200]
    return _field(location) or whole


def _field(location: Sequence[int | str]) -> str:
    """The dotted path of a field; empty for an error about the whole body or query."""
    located = len(location) > 1 and location[0] in {"body", "query", "path"}
    inner = location[1:] if located else location
    if location[:1] == ("body",) and len(inner) == 1 and isinstance(inner[0], int):
        return ""
    return ".".join(str(part) for part in inner)[:200]


def _message(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    if error["type"] in _OF_LISTS:
        message = message.replace("Tuple", "List").replace("tuple", "list")
    if _CONSTRAINTS.issuperset(error.get("ctx", ())):
        return message
    return re.split("[:,'\"]", message, maxsplit=1)[0].strip()
