"""The outermost layer of an application whose requests are traced: one span for each."""

from http import HTTPMethod, HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.core.tracing import Span, SpanKind, Tracer
from backstay.web.request import PROBES, parent_of

_METHODS = frozenset(method.value for method in HTTPMethod)


class Traced:
    """Records a span per request, or per WebSocket; its ``traceparent`` is that of this hop.

    Its attributes are those of the semantic conventions for HTTP, without those that tell who the
    client is or what the query holds: the line of the request in the log has the client's address.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        parent = parent_of(scope)
        continued = "" if parent is None else f"00-{parent[0]}-{parent[1]}-{parent[2]}"
        method = _method(scope)
        name = "HTTP" if method == "_OTHER" else method
        with self._tracer.span(name, SpanKind.SERVER, parent=continued) as span:
            trace = scope["backstay.trace"] = span.traceparent.encode()
            try:
                await self._app(scope, receive, send)
            finally:
                if trace.endswith(b"1"):  # it is sampled
                    _describe(span, method, scope)


def _method(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WS"
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"


def _describe(span: Span, method: str, scope: Scope) -> None:
    known: dict[str, str | int] = {
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    if method != "WS":
        known["http.request.method"] = method
    if status := scope.get("backstay.status", 0):
        known["http.response.status_code"] = status
    name = "HTTP" if method == "_OTHER" else method
    route = getattr(scope.get("route"), "path_format", None)
    if route is not None:
        known["http.route"] = route
        name = f"{name} {route}"
    principal = scope.get("backstay.principal")
    if principal is not None and principal.user_id is not None:
        known["user.id"] = str(principal.user_id)
    span.describe(known, name=name)
    if "backstay.error" in scope or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(scope.get("backstay.error", str(status)))
