"""Reads the OpenAPI description, with references resolved."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import httpx

from backstay.core.targets import By
from backstay.db.base import Base

EVERYWHERE = {
    *("content-type", "content-length", "connection", "vary", "traceparent"),
    *("cache-control", "content-security-policy", "referrer-policy"),
    *("x-content-type-options", "x-frame-options", "strict-transport-security"),
    *("access-control-allow-origin", "access-control-allow-credentials"),  # where `Origin` is sent
    "access-control-expose-headers",
}
"""Headers of every answer, or with a place of their own, which operations do not list."""


def resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The node, or what it refers to."""
    if "$ref" not in node:
        return node
    found: Any = schema
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(schema, found)


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method, path and operation, with its parameters and answers; there must be some."""
    found = [
        (method.upper(), path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]
    assert len(found) > 20
    for method, path, operation in found:
        parameters = [resolved(schema, each) for each in operation.get("parameters", ())]
        responses = {
            status: _answer(schema, resolved(schema, each))
            for status, each in operation["responses"].items()
        }
        yield method, path, {**operation, "parameters": parameters, "responses": responses}


def _answer(schema: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    headers = answer.get("headers", {})
    return {**answer, "headers": {name: resolved(schema, each) for name, each in headers.items()}}


def check_told(operation: dict[str, Any], answer: httpx.Response) -> None:
    """Assert that an answer has exactly the status, type and headers of its operation."""
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, f"{operation['operationId']}: {answer.status_code} is not told"
    place = (operation["operationId"], answer.status_code)
    headers = {name.lower(): each for name, each in told["headers"].items()}
    untold = set(answer.headers) - EVERYWHERE - set(headers)
    assert not untold, (place, untold)
    missing = {name for name, each in headers.items() if each.get("required")} - {*answer.headers}
    assert not missing, (place, missing)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert kind in told.get("content", {"": None}), (place, kind)


def is_locked(parameter: inspect.Parameter) -> bool:
    """Whether a parameter of a handler is a row that the handler changes."""
    kind, *marks = get_args(parameter.annotation) or (None,)
    return bool(marks) and isinstance(marks[0], By) and issubclass(kind, Base)
