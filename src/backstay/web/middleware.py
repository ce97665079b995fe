"""The ASGI layers around the whole application: request id, headers, metrics, CORS, errors."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from traceback import format_exception

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.core.addresses import normal_origin
from backstay.core.errors import AppError, BadRequest
from backstay.core.ports import Metrics
from backstay.core.tracing import NO_TRACER, Tracer
from backstay.settings import Settings
from backstay.web import sockets
from backstay.web.errors import (
    problem_response,
    refusal_of,
    saying_why,
    tell,
    tell_break,
    tell_unhandled,
)
from backstay.web.headers import EXPOSED, Field
from backstay.web.overload import Shedder, Shedding
from backstay.web.request import (
    allow_bytes,
    allowed_bytes,
    check_encoding,
    check_host,
    check_length,
    check_uri,
    client_address,
    fields_of,
    identify,
    too_large,
)
from backstay.web.request_log import CLIENT_GONE, log_request
from backstay.web.route_index import RouteIndex, RowCaller
from backstay.web.tracing import Traced

_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
_UNLESS_GIVEN = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_VARY = ((b"vary", b"Origin"),)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


BODY_SECONDS = 30.0
"""The longest pause, in seconds, while a body arrives; after it the request is refused (408)."""
BODY_BYTES_PER_SECOND = 1024
"""The slowest rate of a body. One that is slower may lag ``BODY_SECONDS`` behind it in all."""


class _RequestTimeout(AppError):
    """The rest of a request did not arrive; the connection is closed (RFC 9110, 15.5.9)."""

    status, code, title = 408, "request_timeout", "The request body did not arrive in time"

    def __init__(self) -> None:
        super().__init__(headers={"Connection": "close"})


class _Edge:
    """The outermost layer: identifies requests and clients, adds headers, measures and logs."""

    def __init__(self, app: ASGIApp, metrics: Metrics, settings: Settings) -> None:
        self._app = app
        self._metrics = metrics
        self._trusted = settings.server.trusted_proxies
        self._headers = [*_SECURITY, *([] if settings.is_local else [_HSTS])]
        self._access_log = settings.server.log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, saying_why(scope, send))
            return
        scope["backstay.edge"] = getattr(scope["app"].state, "edge", None)
        identify(scope)
        scope["backstay.client_address"] = client_address(scope, self._trusted)
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            seconds = time.perf_counter() - started
            if "backstay.shed" not in scope:
                log_request("socket", scope, seconds, is_wanted=self._access_log)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent, is_head = 0, scope["method"] == "HEAD"
        started = time.perf_counter()
        self._metrics.in_flight += 1

        def respond(message: Message) -> Awaitable[None]:
            nonlocal sent
            if message["type"] == "http.response.start":
                scope["backstay.status"] = message["status"]
                message["headers"] = self._completed(scope, message.get("headers", ()))
            elif is_head:
                message["body"] = b""
            else:
                sent += len(message.get("body", b""))
            return send(message)

        try:
            await self._app(scope, receive, respond)
        finally:
            elapsed = time.perf_counter() - started
            self._metrics.in_flight -= 1
            status = scope.setdefault("backstay.status", 500)
            route = getattr(scope.get("route"), "path_format", "unmatched")
            self._metrics.observe(scope["method"], route, status, elapsed)
            if "backstay.shed" not in scope:
                log_request("request", scope, elapsed, sent, is_wanted=self._access_log)

    def _completed(self, scope: Scope, given: Iterable[Field]) -> list[Field]:
        """The fields of a response with those that every one has."""
        fields = [*given]
        names = [name for name, _ in fields]
        fields += (each for each in _UNLESS_GIVEN if each[0] not in names)
        fields.append((b"x-request-id", scope["backstay.request_id"].encode()))
        fields.append((b"traceparent", scope["backstay.trace"]))
        fields += self._headers
        fields += scope.get("backstay.headers", ())
        fields += scope.get("backstay.vary", ())
        return fields


class _Faults:
    """The layer inside CORS: checks the host, limits URI and body (size, time), answers all errors.

    An unexpected exception becomes a 500 problem; with ``APP_DEBUG`` set, the problem's member
    ``debug`` holds the traceback. If the response has begun, it stays without its end, and the
    server closes the connection.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, upload_bytes: Callable[[Scope], int | None]
    ) -> None:
        self._app = app
        self._upload_bytes = upload_bytes
        self._debug = settings.app.debug
        self._limit = settings.server.max_body_bytes
        hosts = tuple(host.lower() for host in settings.server.trusted_hosts)
        self._hosts = () if "*" in hosts else hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await sockets.serve(self._app, scope, receive, send, hosts=self._hosts)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            await self._app(scope, self._bounded(scope, receive), send)
        except Exception as error:
            if "backstay.status" in scope:  # the response has begun
                tell_break(scope, error)
            elif isinstance(error, ClientDisconnect):
                await Response(status_code=CLIENT_GONE)(scope, receive, send)
            else:
                await self._answer(scope, error)(scope, receive, send)

    def _answer(self, scope: Scope, error: Exception) -> Response:
        refusal = refusal_of(error)
        if refusal is not None:
            if refusal is error:
                tell(scope, refusal)
            return problem_response(scope, refusal)
        tell_unhandled(scope, error)
        traceback = "".join(format_exception(error)) if self._debug else ""
        return problem_response(scope, AppError(), traceback)

    def _check(self, scope: Scope) -> None:
        check_host(scope, self._hosts)
        allow_bytes(scope, self._limit)
        try:
            check_length(scope, self._limit)
        except AppError:
            most = self._upload_bytes(scope)
            if most is None:
                raise
            check_length(scope, most)
        check_uri(scope)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        seen, seconds_left, is_complete = 0, BODY_SECONDS, False

        async def bounded() -> Message:
            nonlocal seen, seconds_left, is_complete
            if is_complete:  # from here on, receive() waits for the client to disconnect
                return await receive()
            asked = time.monotonic()
            try:
                async with asyncio.timeout(seconds_left):
                    message = await receive()
            except TimeoutError as error:
                raise _RequestTimeout from error
            size = len(message.get("body", b""))
            if size and not seen:
                check_encoding(scope)
            earned = size / BODY_BYTES_PER_SECOND - (time.monotonic() - asked)
            seconds_left = min(BODY_SECONDS, seconds_left + earned)
            seen += size
            most = allowed_bytes(scope)
            if seen > most:
                raise too_large(most)
            is_complete = not message.get("more_body", False)
            return message

        return bounded


class _Cors(CORSMiddleware):
    """CORS (Fetch standard). A request without an ``Origin`` skips it, so it costs nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = fields_of(scope) if scope["type"] == "http" else {}
        if scope["type"] == "http" and b"origin" not in fields:
            scope["backstay.vary"] = _VARY
            await self.app(scope, receive, send)
        elif scope.get("method") == "OPTIONS" and b"access-control-request-method" in fields:
            await self._preflight(scope)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether pages of this origin may call the API; its spelling is normalized first."""
        return normal_origin(origin) in self.allow_origins

    def _preflight(self, scope: Scope) -> Response:
        answer = self.preflight_response(Headers(scope=scope))
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        headers = {k: v for k, v in answer.headers.items() if not k.startswith("content-")}
        return problem_response(
            scope, BadRequest(f"{bytes(answer.body).decode()}.", headers=headers)
        )


def _not_essential(_: Scope) -> bool:
    return False


def _no_upload(_: Scope) -> int | None:
    return None


def install(
    app: FastAPI,
    settings: Settings,
    metrics: Metrics,
    index: RouteIndex | None = None,
    tracer: Tracer = NO_TRACER,
    shedder: Shedder | None = None,
) -> None:
    """Add the layers to an application, the innermost first.

    With the ``index`` of its routes, which knows how large the body of an upload may be, its rows
    are answered without the framework's layers.
    ``shedder`` refuses what is not essential while there is too much to do.
    """
    origins = settings.app.cors_origins
    if index is not None:
        app.add_middleware(RowCaller, index=index, outer=app, handlers=dict(app.exception_handlers))
    upload_bytes = _no_upload if index is None else index.upload_bytes
    app.add_middleware(_Faults, settings=settings, upload_bytes=upload_bytes)
    if shedder is not None:
        is_essential = _not_essential if index is None else index.is_essential
        app.add_middleware(Shedding, shedder=shedder, is_essential=is_essential)
    if origins:
        app.add_middleware(
            _Cors,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(_Edge, metrics=metrics, settings=settings)
    if tracer.records:
        app.add_middleware(Traced, tracer=tracer)
