"""Sends a message on behalf of a request, and makes an answer of its result."""

from typing import Any

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from backstay.caching.steps import RenderedContext
from backstay.core.idempotency import Replayed
from backstay.core.messages import Message
from backstay.core.representation import Representation, etag_of, represent
from backstay.web.client_cache import for_clients, kept_by_clients
from backstay.web.conditional import JSON, preconditions_of, tagged
from backstay.web.idempotency import key_of
from backstay.web.links import link_header
from backstay.web.route_spec import RouteSpec
from backstay.web.state import edge_of, sender_of


async def answer(
    request: Request, spec: RouteSpec, message: Message[Any], prefix: str = ""
) -> Response:
    """Send a message on behalf of the request and answer with its result."""
    key = await key_of(request) if spec.takes_key else None
    given = preconditions_of(request)
    sender = sender_of(request, given, key)
    admission = request.scope.get("backstay.admission")
    context = RenderedContext(message, sender.principal, sender.origin, sender, admission=admission)
    result = await sender.send(context)
    kept = _representation(result)
    headers = for_clients(spec.message, edge_of(request).client_max_age)
    if kept is not None and kept.links is not None:
        headers = {**headers, **link_header(request.scope, kept.links)}
        if not kept_by_clients(spec.message):
            return Response(kept.body, spec.status, headers, JSON)
        kept = kept._replace(etag=etag_of(kept.body))
    if kept is None:
        response = Response(status_code=204)
    else:
        response = tagged(request, kept, spec.status, headers, given)
        if spec.location is not None:
            location = spec.location.format_map(from_json(kept.body))
            response.headers["Location"] = prefix + location
    if isinstance(result, Replayed):
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _representation(result: Any) -> Representation | None:
    if isinstance(result, Replayed):
        return None if result.body is None else Representation(result.body, etag_of(result.body))
    return result if result is None or isinstance(result, Representation) else represent(result)
