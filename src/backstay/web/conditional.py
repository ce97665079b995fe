"""Conditional requests (RFC 9110, 13): entity tags in, 304 out."""

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
    """What ``If-Match`` demands of any request, and ``If-None-Match`` of one that changes the
    resource itself. Weak tags never match the former (strong comparison)."""
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
    """What a change must not find. A field that says more than tags rules everything out: what
    cannot be understood must not look fulfilled."""
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
    """The answer with its ETag, or 304 when the client has this representation.

    Raises:
        PreconditionFailed: the client would read another one only.
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
    """The tags of a field, whose lines are one list (RFC 9110, 5.3), or ``("*",)``."""
    listed = ", ".join(lines_of(request.scope, name)).strip()
    if listed == "*":
        return ("*",)
    return tuple(found[2] for found in _TAG.finditer(listed) if weak or not found[1])
