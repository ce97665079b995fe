"""Every error as a problem (RFC 9457), none of which repeats what was submitted."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from backstay.core.errors import AppError
from backstay.core.validation import invalid
from backstay.web.oauth import DESCRIBED, members_of

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger("backstay.http")
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


def problem_response(scope: Scope, error: AppError, debug: str = "") -> Response:
    """The answer to a refused request; ``debug`` is what only developers may read."""
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
        **members_of(scope, error),
    }
    if debug:
        body["debug"] = debug
    return Response(json.dumps(body), error.status, error.headers, MEDIA_TYPE)


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


def _tell(request: Request, error: AppError) -> None:
    """Log an error of the server's; what will pass by itself does not need its traceback."""
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        reason = str(error.__cause__ or error).partition("\n")[0]
        log.warning("unavailable", code=error.code, reason=reason, request_id=_id(request))
    else:
        log.error("request failed", code=error.code, request_id=_id(request), exc_info=error)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    async def refused(request: Request, error: Any) -> Response:
        if error.status >= 500:
            _tell(request, error)
        return problem_response(request.scope, error)

    async def not_valid(request: Request, error: Any) -> Response:
        return problem_response(request.scope, invalid(error.errors()))

    async def framework(request: Request, error: Any) -> Response:
        return problem_response(request.scope, _of_framework(error))

    app.add_exception_handler(AppError, refused)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(HTTPException, framework)


def problems_of(
    statuses: Iterable[int], *, grants_tokens: bool = False
) -> dict[int | str, dict[str, Any]]:
    """How the description of an operation tells of its errors."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    if grants_tokens:
        schema = {"allOf": [schema, DESCRIBED]}
    return {
        status: {"description": _PHRASES[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted(statuses)
    }


_PHRASES = {
    400: "Not readable",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    408: "The body did not arrive in time",
    409: "Conflict",
    412: "The representation has changed",
    413: "The body is too large",
    415: "The body must be JSON",
    422: "Not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}
