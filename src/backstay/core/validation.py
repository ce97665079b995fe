"""What pydantic refuses, in the words of an answer: never with what was submitted."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from backstay.core.errors import FieldError, Invalid

T = TypeVar("T")
_TEXT_OR_JOINT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[,:]', re.DOTALL)
"""A text that does not end is one all the same: nothing is looked at twice."""
MOST_FAULTS = 20
"""How many faults an answer lists, so that a small request never makes a large answer."""
MOST_TOLD = 10_000
"""How many faults are looked at one by one; to list more would hold up others."""
_CONSTRAINTS = {
    *("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"),
    *("field_type", "pattern", "expected", "max_digits", "decimal_places", "whole_digits"),
    *("class_name", "field", "known"),
}
"""What a message of pydantic may mention; anything else could be a part of what was submitted."""


def validated(validate: Callable[[Any], T], given: Any, whole: str = "body", inside: str = "") -> T:
    """What a method of a model, such as ``model_validate``, makes of what was submitted.

    ``whole`` and ``inside`` are those of :func:`invalid`.

    Raises:
        Invalid: it is not valid.
    """
    try:
        return validate(given)
    except ValidationError as error:
        if error.error_count() > MOST_TOLD:
            raise Invalid(f"{error.error_count()} fields are not valid.") from None
        faults = error.errors(include_url=False, include_input=False)
        raise invalid(faults, whole, inside) from error


def check_extent(body: bytes, most: int) -> None:
    """Refuse a JSON body with more values and names than that: each may be a fault, which is dear.

    All but the first in a list or object have a comma or a colon before them. A body too short for
    so many is not looked at, and a long one only until it is clear: no two texts stand together
    without one, or it is not JSON.

    Raises:
        Invalid: it has more.
    """
    if len(body) <= 2 * most:
        return
    found = islice(_TEXT_OR_JOINT.finditer(body), 2 * most)
    if sum(len(each[0]) == 1 for each in found) >= most:
        raise Invalid(f"The body may hold {most} values and names.")


def invalid(errors: Sequence[Mapping[str, Any]], whole: str = "body", inside: str = "") -> Invalid:
    """The refusal for validation errors, without the values that caused them.

    ``whole`` is what an error without a field is about; ``inside`` the field that was validated.
    """
    faults = tuple(
        FieldError(_path(error, whole, inside), error["type"], _message(error))
        for error in errors[:MOST_FAULTS]
    )
    return Invalid(f"{len(errors)} field(s) are not valid.", errors=faults)


def _path(error: Mapping[str, Any], whole: str, inside: str) -> str:
    named = error.get("ctx", {}).get("field")  # by a check of the message as a whole
    location = (*error["loc"], *([named] if named else ()))
    if inside:
        return ".".join((inside, *map(str, location)))[:200]
    return _field(location) or whole


def _field(location: Sequence[int | str]) -> str:
    """The dotted path of a field; empty for the body or query as a whole."""
    located = len(location) > 1 and location[0] in {"body", "query", "path"}
    inner = location[1:] if located else location
    if location[:1] == ("body",) and len(inner) == 1 and isinstance(inner[0], int):
        return ""
    return ".".join(str(part) for part in inner)[:200]


def _message(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    if _CONSTRAINTS.issuperset(error.get("ctx", ())):
        return message
    return re.split("[:,'\"]", message, maxsplit=1)[0].strip()
