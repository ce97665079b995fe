"""Turns every error into a problem (RFC 9457) that never repeats submitted values."""

import json
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from backstay.core.causes import cause_of
from backstay.core.errors import AppError
from backstay.core.maintenance import UnderMaintenance
from backstay.core.validation import invalid
from backstay.web.oauth import ErrorCode, members_of

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


class TokenProblem(Problem):
    """A refusal of tokens: a form is refused in the words of OAuth2 (RFC 6749, 5.2), too."""

    error: ErrorCode | None = None
    error_description: str | None = None


def problem_response(scope: Scope, error: AppError, debug: str = "") -> Response:
    """The response for an error; ``debug`` is a traceback, which only developers may read."""
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
    """An error of the framework, such as a wrong body or an unknown path."""


def _of_framework(error: HTTPException) -> AppError:
    if isinstance(error.__cause__, AppError):
        return error.__cause__  # ours, raised while the framework read the body
    status = error.status_code
    refusal = _FrameworkError(headers=error.headers)
    phrase = HTTPStatus(status).phrase
    refusal.status, refusal.title = status, phrase  # type: ignore[misc]
    refusal.code = _FRAMEWORK_CODES.get(status, "http_error")  # type: ignore[misc]
    refusal.detail = phrase
    return refusal


def refusal_of(error: Exception) -> AppError | None:
    """The refusal that an error stands for, ours or the framework's; None if none expects it."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, RequestValidationError):
        return invalid(error.errors())
    return _of_framework(error) if isinstance(error, HTTPException) else None


def tell(scope: MutableMapping[str, Any], error: AppError) -> None:
    """Log a server error (5xx), and store its cause for the log line of the request.

    Of maintenance, which is no error, that line suffices.
    """
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    if isinstance(error, UnderMaintenance):
        leave_cause(scope, error)
        return
    reason, told = leave_cause(scope, error), about(scope)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("unavailable", code=error.code, reason=reason, **told, fault=error)
    else:
        log.error("request failed", code=error.code, **told, exc_info=error)


def tell_break(scope: MutableMapping[str, Any], error: Exception) -> None:
    """Log why a response that has begun stays without its end."""
    # the framework wraps an error for which it has an answer
    refusal = error if isinstance(error, AppError) else error.__cause__
    if isinstance(refusal, AppError):
        tell(scope, refusal)
        leave_cause(scope, refusal)
    elif not isinstance(error, ClientDisconnect):
        tell_unhandled(scope, error)


def tell_unhandled(scope: MutableMapping[str, Any], error: Exception) -> None:
    """Log an error that no code expects, and store its cause for the log line of the request."""
    leave_cause(scope, error)
    log.error("unhandled error", **about(scope), exc_info=error)


def about(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """What a line in the log says of the request that it is about: ids and the route's template."""
    told = {"request_id": scope.get("backstay.request_id", "")}
    if "backstay.trace" in scope:
        told["trace_id"] = scope["backstay.trace"][3:35].decode()
    route = getattr(scope.get("route"), "path_format", None)
    if route is not None:
        told["route"] = route
    principal = scope.get("backstay.principal")
    if principal is not None and principal.user_id is not None:
        told["user_id"] = str(principal.user_id)
        if principal.actor_id is not None:
            told["impersonator_id"] = str(principal.actor_id)
    return told


def leave_cause(scope: MutableMapping[str, Any], error: Exception) -> str:
    """Store the cause of a failure for the log line of the request, and return it."""
    code = error.code if isinstance(error, AppError) else AppError.code
    reason = cause_of(error)
    scope["backstay.cause"] = {"code": code, "reason": reason}
    scope["backstay.error"] = _type_of(error)
    return reason


def _type_of(error: Exception) -> str:
    """The code of an error of ours, else its type: its text could hold values."""
    if isinstance(error, AppError):
        return error.code
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def install(app: FastAPI) -> None:
    """Register handlers that answer every error of the application as a problem."""

    async def refused(request: HTTPConnection, error: Any) -> Response:
        if request.scope["type"] == "websocket":
            raise error  # the edge closes it
        tell(request.scope, error)
        return problem_response(request.scope, error)

    async def not_valid(request: Request, error: Any) -> Response:
        return problem_response(request.scope, invalid(error.errors()))

    async def framework(request: HTTPConnection, error: Any) -> Response:
        if request.scope["type"] == "websocket":
            raise _of_framework(error)
        return problem_response(request.scope, _of_framework(error))

    app.add_exception_handler(AppError, refused)
    app.add_exception_handler(RequestValidationError, not_valid)
    app.add_exception_handler(HTTPException, framework)


PROBLEMS = {
    400: ("BadRequest", "The request could not be read"),
    401: ("Unauthenticated", "Not authenticated"),
    403: ("Forbidden", "Not allowed"),
    404: ("NotFound", "Not found"),
    408: ("RequestTimeout", "The body did not arrive in time"),
    409: ("Conflict", "The request conflicts with the current state"),
    412: ("PreconditionFailed", "The representation has changed"),
    413: ("TooLarge", "The body is too large"),
    414: ("UriTooLong", "The path and the query are too long"),
    415: ("UnsupportedMediaType", "The body is of another media type, or encoded"),
    422: ("Invalid", "The request is not valid"),
    429: ("RateLimited", "Too many requests"),
    500: ("InternalError", "Internal error"),
    507: ("StorageFull", "There is no room for the upload"),
    503: ("Unavailable", "Temporarily unavailable"),
}
"""By status: the name and description of an error in the description of the API."""


def saying_why(scope: Scope, send: Send) -> Send:
    """Lets the server log the sentence of an expected error at the start, not its traceback."""

    async def say(message: Message) -> None:
        if message["type"] == "lifespan.startup.failed" and scope["app"].state.refusal:
            message = {**message, "message": scope["app"].state.refusal}
        await send(message)

    return say
