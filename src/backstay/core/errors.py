"""The errors that a client can act on: each is named after a state and has a stable code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that was refused; it never contains the submitted value."""

    field: str
    code: str
    message: str


class AppError(Exception):
    """The base of these errors; ``status`` is the HTTP status of the response (RFC 9110)."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        text = "; ".join(f"{fault.field}: {fault.message}" for fault in errors)
        super().__init__(text or detail or self.title)
        self.detail = detail or self.title
        self.errors = errors
        self.headers = dict(headers or {})


class Invalid(AppError):
    status, code, title = 422, "validation_error", "The request is not valid"


class BadRequest(AppError):
    status, code, title = 400, "bad_request", "The request could not be read"


class Unauthenticated(AppError):
    """There are no usable credentials. The response has ``WWW-Authenticate`` (RFC 6750)."""

    status, code, title = 401, "auth_error", "Not authenticated"

    def __init__(self, detail: str = "", *, challenge: str = "Bearer") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class FreshProofRequired(Unauthenticated):
    """The sender has not proven lately enough who they are (RFC 9470)."""

    code, title = "fresh_proof_required", "Prove again who you are, then repeat the request"

    def __init__(self, fresh: timedelta) -> None:
        error = 'Bearer error="insufficient_user_authentication"'
        super().__init__(challenge=f'{error}, max_age="{int(fresh.total_seconds())}"')


class Forbidden(AppError):
    status, code, title = 403, "forbidden", "Not allowed"


class Impersonated(Forbidden):
    code, title = "impersonated", "Only the person themselves may do this, not an impersonator"


class NotFound(AppError):
    status, code, title = 404, "not_found", "Not found"


class Conflict(AppError):
    status, code, title = 409, "conflict", "The request conflicts with the current state"


class PreconditionFailed(AppError):
    """The resource does not meet a precondition of the request (RFC 9110, 13.1)."""

    status, code, title = 412, "precondition_failed", "The resource has changed"


class RateLimited(AppError):
    status, code, title = 429, "rate_limited", "Too many requests"


class Unavailable(AppError):
    status, code, title = 503, "unavailable", "Temporarily unavailable"


class DatabaseFailed(AppError):
    status, code, title = 500, "db_error", "The database failed"


class DatabaseUnavailable(Unavailable):
    code, title = "db_unavailable", "The database is busy or cannot be reached"


class DatabaseTimedOut(Unavailable):
    """A statement was ended because it took too long; an immediate retry would not help."""

    code, title = "db_timeout", "The database took too long"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a handler returns to refuse *and* keep its changes.

    A raised error rolls the transaction back. Where the refusal itself must be stored (for example
    that a refresh token was reused), the handler returns this: the transaction commits, then the
    error is raised to the sender.
    """

    error: AppError
