"""Sends a message on behalf of a request; its result becomes a response, 304 if unchanged."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from backstay.caching.steps import RenderedContext
from backstay.core.errors import BadRequest
from backstay.core.idempotency import IdempotencyKey, Replayed
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC
from backstay.core.representation import (
    NO_PRECONDITIONS,
    Links,
    Preconditions,
    Representation,
)
from backstay.web.headers import Field
from backstay.web.request import JSON, body_of, fields_of, lines_of
from backstay.web.route_spec import RouteSpec
from backstay.web.state import edge_of, sender_of

_NOTHING: Mapping[str, str] = {}
_JSON = (b"content-type", JSON.encode())
_TAG = re.compile(r'(W/)?("[^"]*")')
_MATCH, _NONE_MATCH = b"if-match", b"if-none-match"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
LONGEST = 1000
"""The most characters of a query with which ``Link`` is sent: up to four links repeat it."""


Responder = Callable[[Request, RouteSpec, Message[Any], str], Awaitable[Response]]
"""Sends the message of a row on behalf of a request; the text is the prefix of its path."""


async def answer(request: Request, spec: RouteSpec, message: Message[Any], prefix: str) -> Response:
    """Send a message on behalf of the request and return its result as a response."""
    key = await _key_of(request, spec) if spec.takes_key else None
    given = _preconditions_of(request)
    sender = sender_of(request, given, key)
    admission = request.scope.get("backstay.admission")
    context = RenderedContext(message, sender.principal, sender.origin, sender, admission=admission)
    result = await sender.send(context)
    kept = _representation(result)
    fields = list(_fields_for_clients(spec.message, edge_of(request).client_max_age))
    if kept is not None and kept.links is not None:
        fields += _link_field(request.scope, kept.links)
        if not kept_by_clients(spec.message):
            return _Rendered(kept.body, spec.status, fields)
        kept = kept.with_etag()
    if kept is None:
        response = Response(status_code=204)
    else:
        response = _tagged(request, kept, spec.status, fields, given)
        if spec.location is not None:
            location = spec.location.format_map(from_json(kept.body))
            response.raw_headers.append((b"location", (prefix + location).encode("latin-1")))
    if isinstance(result, Replayed):
        response.headers["Idempotent-Replayed"] = "true"
    return response


class _Rendered(Response):
    """A response of bytes with the header fields as ASGI has them, so that none is made twice."""

    def __init__(self, body: bytes, status: int, fields: list[Field]) -> None:
        self.body, self.status_code, self.background = body, status, None
        fields += (b"content-length", b"%d" % len(body)), _JSON
        self.raw_headers = fields


async def answer_page(
    request: Request, spec: RouteSpec, message: Message[Any], prefix: str
) -> Response:
    """Send a query on behalf of the request and return the page that is made of its result."""
    result = await sender_of(request)(message)
    if spec.render is None:
        raise LookupError("this row has no page")
    return spec.render(result)


def _representation(result: Any) -> Representation | None:
    if isinstance(result, Replayed):
        return None if result.body is None else Representation(result.body).with_etag()
    if result is None or isinstance(result, Representation):
        return result
    return Representation.of(result)


def _preconditions_of(request: Request) -> Preconditions:
    """The preconditions (RFC 9110, 13) that the handler checks.

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


def _tagged(
    request: Request,
    kept: Representation,
    status: int,
    fields: list[Field],
    given: Preconditions,
) -> Response:
    """The response with its ETag, or 304 if the client has this representation already.

    Raises:
        PreconditionFailed: ``If-Match`` names other representations only.
    """
    tag = kept.etag or ""
    fields.insert(0, (b"etag", tag.encode()))
    if status == 200 and request.scope["method"] == "GET":
        given.check_match(tag)
        if _NONE_MATCH in fields_of(request.scope):
            known = _tags(request, _NONE_MATCH, weak=True)
            if tag in known or known == ("*",):
                response = Response(status_code=304)
                response.raw_headers[:0] = fields
                return response
    return _Rendered(kept.body, status, fields)


def _tags(request: Request, name: bytes, *, weak: bool) -> tuple[str, ...]:
    """The tags of a field, or ``("*",)``. Its lines together form one list (RFC 9110, 5.3)."""
    listed = ", ".join(lines_of(request.scope, name)).strip()
    if listed == "*":
        return ("*",)
    return tuple(found[2] for found in _TAG.finditer(listed) if weak or not found[1])


def kept_by_clients(message: type[Message[Any]]) -> bool:
    """Whether the message lets clients cache its responses; the settings may still forbid it."""
    kept = message.declared_cache()
    return kept is not None and bool(kept.client)


@cache
def for_clients(message: type[Message[Any]], max_age: int) -> Mapping[str, str]:
    """The header fields of a response that its client may cache (RFC 9111).

    The response is ``private``, unless the message is public and every client gets the same one.
    """
    kept = message.declared_cache()
    seconds = 0 if kept is None or not max_age else kept.client
    if seconds is True:
        seconds = max_age
    if not seconds:
        return _NOTHING
    if message.permission is PUBLIC:
        return {"Cache-Control": f"public, max-age={seconds}"}
    return {
        "Cache-Control": f"private, max-age={seconds}",
        "Vary": "Authorization, Cookie",
    }


async def _key_of(request: Request, spec: RouteSpec) -> IdempotencyKey | None:
    """The request's ``Idempotency-Key``, if any, bound to its method, path, query and body.

    The content of an upload is bound to it when it has arrived.

    Raises:
        BadRequest: the header is repeated, empty, too long or not printable.
    """
    values = lines_of(request.scope, b"idempotency-key")
    if not values:
        return None
    value = values[0].strip()
    if len(values) > 1 or not _KEY.fullmatch(value):
        raise BadRequest("Idempotency-Key must be sent once, with 1 to 255 printable characters.")
    body = b"" if spec.upload else await body_of(request)
    said = [sorted(request.query_params.multi_items()), from_json(body) if body else None]
    fingerprint = blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=32).digest()
    return IdempotencyKey(value, f"{request.method} {request.scope['path']}", fingerprint)


@cache
def _fields_for_clients(message: type[Message[Any]], max_age: int) -> tuple[Field, ...]:
    told = for_clients(message, max_age).items()
    return tuple((name.lower().encode(), value.encode()) for name, value in told)


def _link_field(scope: Scope, links: Links) -> tuple[Field, ...]:
    """``Link`` (RFC 8288) with relative references to the neighbouring pages, if there are any.

    The body carries the same links. If the query is longer than ``LONGEST``, the header is left
    out, because a proxy might refuse it.
    """
    query = scope["query_string"].decode("latin-1")
    if len(query) > LONGEST:
        return ()
    text = _link(scope["path"], query, tuple(links.items()))
    return ((b"link", text),) if text else ()


@lru_cache(1024)
def _link(path: str, query: str, links: tuple[tuple[str, int | str], ...]) -> bytes:
    url = URL(path=path, query=query)
    targets = (
        (relation, url.include_query_params(page=target))
        if isinstance(target, int)
        else (relation, url.include_query_params(cursor=target))
        for relation, target in links
    )
    told = (f'<{_relative(target)}>; rel="{relation}"' for relation, target in targets)
    return ", ".join(told).encode("latin-1")


def _relative(url: URL) -> str:
    return f"{url.path}?{url.query}" if url.query else url.path
