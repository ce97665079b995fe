"""Refusals of token requests in the words of OAuth2 (RFC 6749, 5.2), which its libraries read.

Without them a library takes the problem itself for tokens, or says that there are none. Status and
headers stay those of the problem.
"""

import re
from typing import Literal

from starlette.types import Scope

from backstay.core.errors import AppError, Forbidden
from backstay.web.checks import media_type_of
from backstay.web.pages import FORM

UNSUPPORTED = ("grant_type", "literal_error")
"""The field and code of the fault that a grant of another type is."""
_NOT_TOLD = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
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
    """What OAuth2 adds to a problem; nothing unless the request is a form for tokens."""
    spec = getattr(scope.get("route"), "spec", None)
    if spec is None or not spec.grants_tokens or media_type_of(scope) != FORM:
        return {}
    told = str(error) if error.errors else error.detail
    return {"error": _error_of(error), "error_description": _NOT_TOLD.sub("?", told)}


def _error_of(error: AppError) -> str:
    if any((each.field, each.code) == UNSUPPORTED for each in error.errors):
        return "unsupported_grant_type"
    if type(error) is Forbidden:
        return "unauthorized_client"
    return _ERRORS.get(error.status, "invalid_request" if error.status < 500 else "server_error")
