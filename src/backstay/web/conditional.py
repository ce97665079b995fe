"""Conditional requests (RFC 9110, 13): entity tags in, 304 out."""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from backstay.core.representation import NO_PRECONDITIONS, Preconditions, Representation
from backstay.web.fields import field_of

_TAG = re.compile(r'(W/)?("[^"]*")')
JSON = "application/json"


def preconditions_of(request: Request) -> Preconditions:
    """What ``If-Match`` demands. Weak tags never match (strong comparison)."""
    header = field_of(request.scope, b"if-match")
    if header is None:
        return NO_PRECONDITIONS
    if header.strip() == "*":
        return Preconditions(("*",))
    return Preconditions(tuple(m[2] for m in _TAG.finditer(header) if not m[1]))


def tagged(
    request: Request, kept: Representation, status: int, headers: Mapping[str, str]
) -> Response:
    """The answer with its ETag, or 304 when the client has this representation."""
    tag = kept.etag or ""
    headers = {"ETag": tag, **headers}
    if request.method == "GET" and status == 200 and _has(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(kept.body, status, headers, JSON)


def _has(request: Request, tag: str) -> bool:
    header = field_of(request.scope, b"if-none-match")
    if header is None:
        return False
    return header.strip() == "*" or any(m[2] == tag for m in _TAG.finditer(header))
