"""Every error as a problem (RFC 9457), none of which repeats what was submitted."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from backstay.core.errors import AppError, FieldFault, Invalid

MOST_FAULTS = 20
"""How many faults an answer lists, so that a small request never makes a large answer."""
MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger("backstay.http")
_CONSTRAINTS = {
    *("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "actual_length"),
    *("field_type", "pattern", "expected", "max_digits", "decimal_places", "whole_digits"),
    *("class_name", "known"),
}
"""What a message of pydantic may mention; anything else could be a part of what was submitted."""
_FRAMEWORK_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


class FieldProblem(BaseModel):
    """One refused field."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457). ``code`` is stable; ``request_id`` finds the request in the logs."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FieldProblem]
    request_id: str


def problem_response(scope: Mapping[str, Any], error: AppError) -> Response:
    """The answer to a refused request."""
    body = {
        "type": f"urn:backstay:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": scope.get("path", "").encode("utf-8", "replace").decode(),
        "code": error.code,
        "errors": [
            {"field": fault.field, "code": fault.code, "message": fault.message}
            for fault in error.errors
        ],
        "request_id": scope.get("backstay.request_id", ""),
    }
    return Response(json.dumps(body), error.status, error.headers, MEDIA_TYPE)


def invalid(errors: Sequence[Mapping[str, Any]], whole: str = "body") -> Invalid:
    """The refusal for validation errors, without the values that caused them.

    ``whole`` is what an error without a field is about.
    """
    faults = tuple(
        FieldFault(_field(error["loc"]) or whole, error["type"], _message(error))
        for error in errors[:MOST_FAULTS]
    )
    return Invalid(f"{len(errors)} field(s) are not valid.", errors=faults)


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


class _FrameworkError(AppError):
    """An error that the framework raised."""


def _of_framework(error: HTTPException) -> AppError:
    if isinstance(error.__cause__, AppError):
        return error.__cause__  # raised while the framework read the body
    status = error.status_code
    refusal = _FrameworkError(headers=error.headers)
    phrase = HTTPStatus(status).phrase
    refusal.status, refusal.title = status, phrase  # type: ignore[misc]
    refusal.code = _FRAMEWORK_CODES.get(status, "http_error")  # type: ignore[misc]
    refusal.detail = phrase
    return refusal


def _id(request: Request) -> str:
    return str(request.scope.get("backstay.request_id", ""))


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    async def refused(request: Request, error: Any) -> Response:
        if error.status >= 500:
            log.error("request failed", code=error.code, request_id=_id(request), exc_info=error)
        return problem_response(request.scope, error)

    async def not_valid(request: Request, error: Any) -> Response:
        return problem_response(request.scope, invalid(error.errors()))

    async def framework(request: Request, error: Any) -> Response:
        return problem_response(request.scope, _of_framework(error))

    app.add_exception_handler(AppError, refused)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(HTTPException, framework)
