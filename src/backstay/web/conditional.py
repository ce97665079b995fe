"""Conditional requests (RFC 9110, 13): reads entity tags, and answers 304 where they match."""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from backstay.core.representation import NO_PRECONDITIONS, Preconditions, Representation
from backstay.web.fields import fields_of, lines_of

_TAG = re.compile(r'(W/)?("[^"]*")')
JSON = "application/json"
_MATCH, _NONE_MATCH = b"if-match", b"if-none-match"


def preconditions_of(request: Request) -> Preconditions:
    """The preconditions that the handler checks.

    ``If-Match`` is read on every request; its weak tags never match (strong comparison).
    ``If-None-Match`` is read only on PUT, PATCH and DELETE, which change the resource itself.
    """
    fields = fields_of(request.scope)
    if _MATCH not in fields and _NONE_MATCH not in fields:
        return NO_PRECONDITIONS
    tags = none_of = None
    if _MATCH in fields:
        tags = _tags(request, _MATCH, weak=False)
    if _NONE_MATCH in fields and request.method not in {"GET", "POST"}:
        none_of = _ruled_out(request)
    return Preconditions(tags, none_of or ())


def _ruled_out(request: Request) -> tuple[str, ...]:
    """The tags of ``If-None-Match``, for a request that changes something.

    A field with anything besides tags is read as ``*``, which refuses every existing resource: a
    precondition that cannot be parsed must not count as fulfilled.
    """
    rest = _TAG.sub("", ", ".join(lines_of(request.scope, _NONE_MATCH)))
    found = _tags(request, _NONE_MATCH, weak=True)
    return found if found and not rest.strip(" \t,") else ("*",)


def tagged(
    request: Request,
    kept: Representation,
    status: int,
    headers: Mapping[str, str],
    given: Preconditions,
) -> Response:
    """The response with its ETag, or 304 if the client has this representation already.

    Raises:
        PreconditionFailed: ``If-Match`` names other representations only.
    """
    tag = kept.etag or ""
    headers = {"ETag": tag, **headers}
    if request.method == "GET" and status == 200:
        given.check_match(tag)
        if _NONE_MATCH in fields_of(request.scope):
            known = _tags(request, _NONE_MATCH, weak=True)
            if tag in known or known == ("*",):
                return Response(status_code=304, headers=headers)
    return Response(kept.body, status, headers, JSON)


def _tags(request: Request, name: bytes, *, weak: bool) -> tuple[str, ...]:
    """The tags of a field, or ``("*",)``. Its lines together form one list (RFC 9110, 5.3)."""
    listed = ", ".join(lines_of(request.scope, name)).strip()
    if listed == "*":
        return ("*",)
    return tuple(found[2] for found in _TAG.finditer(listed) if weak or not found[1])
