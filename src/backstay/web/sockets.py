"""Admits WebSockets (RFC 6455) of plain routers, and closes those whose callers may not go on."""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from backstay.core.errors import AppError, Forbidden
from backstay.limits.classes import LimitClass
from backstay.web.callers import require_caller
from backstay.web.errors import problem_response, tell, tell_unhandled
from backstay.web.request import check_host, check_uri
from backstay.web.state import edge_of

_POLICY_VIOLATION, _INTERNAL_ERROR = 1008, 1011
"""Why a socket is closed (RFC 6455, 7.4.1)."""
_CAN_ANSWER = "websocket.http.response"
"""The extension of ASGI with which a handshake is refused by a response of one's own."""


async def serve(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, hosts: Iterable[str]
) -> None:
    """Serve a WebSocket; an error refuses its handshake, or closes it."""
    is_open = is_closed = False

    async def watch(message: Message) -> None:
        nonlocal is_open, is_closed
        if message["type"] == "websocket.accept":
            is_open, scope["backstay.status"] = True, HTTPStatus.SWITCHING_PROTOCOLS.value
        is_closed |= message["type"] not in {"websocket.accept", "websocket.send"}
        await send(message)

    try:
        check_host(scope, hosts)
        check_uri(scope)
        await app(scope, receive, watch)
    except WebSocketDisconnect:
        pass  # the client has left, and the route did not wait for it
    except Exception as error:
        known = error if isinstance(error, AppError) else AppError()
        if known is error:
            tell(scope, known)
        else:
            tell_unhandled(scope, error)
        if not is_open:
            scope["backstay.status"] = known.status
        if not is_closed:
            await (_close(send, known) if is_open else refuse(scope, receive, send, known))


async def admit(scope: Scope, limit: LimitClass, *, needs_caller: bool) -> None:
    """Count a handshake and find out who asks, before the socket is accepted.

    Browsers open a socket for a page of any site, and send their cookies with it; so pages of other
    origins are refused, unless `APP_CORS_ORIGINS` names them.

    Raises:
        Forbidden: a page of another origin asks.
        RateLimited: too many.
        Unauthenticated: a caller is needed, and none is signed in.
    """
    request = HTTPConnection(scope)
    edge = edge_of(request)
    principal = await edge.count(scope, None, limit)
    if not edge.knows_origin(request):
        raise Forbidden("Pages of this origin may not open a WebSocket: see APP_CORS_ORIGINS.")
    if principal is not None:
        scope["backstay.principal"] = principal
    elif needs_caller:
        await require_caller(request)


def while_signed_in(scope: Scope, send: Send) -> Send:
    """Send to a caller only as long as the session lasts; it is looked up in this process."""
    edge = edge_of(HTTPConnection(scope))

    async def checked(message: Message) -> None:
        principal = scope.get("backstay.principal")
        if principal is not None and message["type"] == "websocket.send":
            scope["backstay.principal"] = await edge.refresh(principal)
        await send(message)

    return checked


async def refuse(scope: Scope, receive: Receive, send: Send, error: AppError) -> None:
    """Answer a handshake with a problem; servers that cannot do so answer with 403."""
    if _CAN_ANSWER not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    await problem_response(scope, error)(scope, receive, send)


async def _close(send: Send, error: AppError) -> None:
    """Close an open socket because of an error."""
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    code = _INTERNAL_ERROR if is_ours else _POLICY_VIOLATION
    await send({"type": "websocket.close", "code": code, "reason": error.title[:100]})
