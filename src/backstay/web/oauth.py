"""Adds the error members of OAuth2 (RFC 6749, 5.2) to refused token requests.

OAuth2 client libraries read these members. Without them, a library takes the problem for a token
response, or reports that the tokens are missing. The problem's status and headers stay.
"""

import re
from typing import Literal

from starlette.types import Scope

from backstay.core.errors import AppError, Forbidden
from backstay.web.request import FORM, media_type_of

UNSUPPORTED = ("grant_type", "literal_error")
"""The field and code of the validation error for an unsupported ``grant_type``."""
_NOT_ALLOWED = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_ERRORS = {
    401: "invalid_grant",
    403: "invalid_grant",
    429: "temporarily_unavailable",
    503: "temporarily_unavailable",
}
ErrorCode = Literal[
    "invalid_request",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "temporarily_unavailable",
    "server_error",
]


def members_of(scope: Scope, error: AppError) -> dict[str, str]:
    """The OAuth2 members of a problem; empty unless the request is a form that asks for tokens."""
    spec = getattr(scope.get("route"), "spec", None)
    if spec is None or not spec.grants_tokens or media_type_of(scope) != FORM:
        return {}
    description = str(error) if error.errors else error.detail
    return {"error": _error_of(error), "error_description": _NOT_ALLOWED.sub("?", description)}


def _error_of(error: AppError) -> str:
    if any((each.field, each.code) == UNSUPPORTED for each in error.errors):
        return "unsupported_grant_type"
    if type(error) is Forbidden:
        return "unauthorized_client"
    return _ERRORS.get(error.status, "invalid_request" if error.status < 500 else "server_error")
