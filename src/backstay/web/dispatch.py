"""Finds the route of a request, checks the request and sends the message of its row."""

import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cache
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from backstay.core.background import in_background
from backstay.core.errors import AppError, FieldError, Invalid
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC
from backstay.core.principal import Principal
from backstay.core.validation import MOST_FAULTS
from backstay.limits.classes import GENERAL
from backstay.web.answers import answer
from backstay.web.callers import require_caller, requires_caller
from backstay.web.limits import admission_of
from backstay.web.parameters import Parameters
from backstay.web.request import check_media_type, field_of, narrow
from backstay.web.route_spec import Endpoint, RouteSpec
from backstay.web.state import edge_of


class Route(APIRoute):
    """A route that authenticates a request and counts it before the body is read."""

    spec: RouteSpec
    parameters: Parameters
    may_be_kept: bool

    @classmethod
    def of(cls, spec: RouteSpec, prefix: str) -> "Route":
        """The route for one row of the table."""
        parameters = Parameters(spec.message, spec.path_names)
        result = spec.message.result_type()
        route = cls(
            prefix + spec.path,
            spec.endpoint or _described(spec, parameters),
            methods=[spec.method],
            status_code=spec.status,
            response_model=None if result is type(None) else result,
            tags=[spec.tag],
            summary=_summary(spec.message),
            description=inspect.getdoc(spec.message),
            operation_id=spec.operation_id,
            response_class=PlainTextResponse if result is str else JSONResponse,
            responses={"default": {}},  # web/operations.py describes each
            include_in_schema=not spec.is_page,
        )
        route.spec, route.parameters = spec, parameters
        kept = spec.message.declared_cache()
        route.may_be_kept = spec.endpoint is None and kept is not None and kept.ttl != 0
        if spec.endpoint is None:
            route.app = route._application(prefix)
        return route

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            await self._admit(request)
            self._check_form(request)
            return await inner(request)

        return handle

    def _application(self, prefix: str) -> ASGIApp:
        """The ASGI application that answers requests of this route.

        FastAPI uses the route only to describe the API: its dependency solver would cost more than
        everything else at the edge (docs/decisions).
        """

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            await self._admit(request)
            try:
                self._check_form(request)
                message = await self.parameters.read(request)
                response = await answer(request, self.spec, message, prefix)
            finally:
                await admission_of(scope)
            await response(scope, receive, send)

        return app

    async def _admit(self, request: Request) -> None:
        """Authenticate the request and count it, before its body is read.

        Under the general limit, a request with a valid token counts for its user. In all other
        cases it counts for the client's address.
        """
        edge, scope, limit = edge_of(request), request.scope, self.spec.limit
        if self.spec.message.permission is PUBLIC:
            if limit is GENERAL:
                await edge.count(scope, self.path_format)
            elif limit is not None:
                await edge.limits.by_address(scope, limit)
            return
        try:
            principal = await edge.authenticate(field_of(scope, b"authorization"))
        except AppError:
            if limit is not None:
                await edge.limits.by_address(scope, limit)
            raise
        scope["backstay.principal"] = principal
        if limit is GENERAL:
            counted = edge.limits.by_user(scope, principal, self.path_format)
            if self.may_be_kept and edge.cache_is_remote:
                # shares a round trip with the look into the cache
                scope["backstay.admission"] = in_background(counted)
            else:
                await counted
        elif limit is not None:
            await edge.limits.by_address(scope, limit)

    def _check_form(self, request: Request) -> None:
        """Refuse what FastAPI would ignore.

        That is a query where the route takes none, a body larger than this route allows, and a body
        of another media type.
        """
        if self.spec.body_bytes is not None:
            narrow(request.scope, self.spec.body_bytes)
        if request.scope["query_string"] and not self.parameters.has_query:
            raise Invalid(
                "This route takes no query parameters.",
                errors=tuple(
                    FieldError(name[:200], "extra_forbidden", "Extra inputs are not permitted")
                    for name in sorted(request.query_params.keys())[:MOST_FAULTS]
                ),
            )
        if self.parameters.has_body:
            check_media_type(request.scope, *self.spec.media_types)


@cache
def route_of(spec: RouteSpec, prefix: str) -> Route:
    """The route of a row; cached: it takes milliseconds, and tests make many applications."""
    return Route.of(spec, prefix)


def _described(spec: RouteSpec, parameters: Parameters) -> Endpoint:
    """A function from whose signature FastAPI reads the parameters; it is never called."""

    async def endpoint(**_: Any) -> Response:
        raise NotImplementedError

    endpoint.__signature__ = inspect.Signature(parameters.signature)  # type: ignore[attr-defined]
    endpoint.__name__ = spec.operation_id
    return endpoint


def _summary(message: type[Message[Any]]) -> str:
    """The first sentence of a message's description, without its full stop."""
    return (inspect.getdoc(message) or message.__name__).split("\n")[0].split(". ")[0].rstrip(".")


_DOCUMENTATION = ("/docs", "/redoc", "/openapi.json", "/docs/assets/")


class _MethodNotAllowed(AppError):
    """The path exists, but not with this method (RFC 9110, 15.5.6)."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class RouteIndex:
    """Runs before FastAPI's router and handles the requests whose path it knows.

    It looks a path up in a tree, segment by segment, in a time that does not grow with the number
    of routes; a literal segment takes precedence over a parameter. A request whose path it does not
    know is counted and then passed to FastAPI, so that routes added by hand work: those of
    ``plain_routes``, in their order.
    """

    def __init__(self, fallback: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._fallback = fallback
        self.plain_routes: Sequence[Any] = ()
        self._root: _Node = _Node()
        for route in routes:
            node = self._root
            for segment in route.path_format.strip("/").split("/"):
                name = "{}" if segment.startswith("{") else segment
                node = node.children.setdefault(name, _Node())
            for method in route.methods or ():
                node.routes.setdefault(method, route)
                if method == "GET":
                    node.routes.setdefault("HEAD", route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        node = self._find(_path(scope))
        if node is None:
            await self._pass_on(scope, receive, send)
            return
        route = node.routes.get(scope["method"])
        if route is None:
            await _count_unmatched(scope)
            allowed = ", ".join(sorted(node.routes))
            raise _MethodNotAllowed(f"Allowed here: {allowed}.", headers={"Allow": allowed})
        if scope["method"] == "HEAD":
            await self._as_get(scope, receive, send)
            return
        match, child_scope = route.matches(scope)
        if match is not Match.FULL:
            await self._pass_on(scope, receive, send)
            return
        scope.update(child_scope)
        await route.handle(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = await _count_unmatched(scope)
        if principal is not None:
            scope["backstay.principal"] = principal
        elif self._requires_caller(scope):
            await require_caller(Request(scope))  # now, since FastAPI reads the body first
        await self._fallback(scope, receive, send)

    def _requires_caller(self, scope: Scope) -> bool:
        matching = (each for each in self.plain_routes if each.matches(scope)[0] is Match.FULL)
        return requires_caller(next(matching, None))

    async def _as_get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle HEAD as GET (RFC 9110, 9.3.2). The outermost layer drops the body."""

        async def respond(message: ASGIMessage) -> None:
            scope["method"] = "HEAD"  # the server reads it here to frame the response
            await send(message)

        scope["method"] = "GET"
        try:
            await self(scope, receive, respond)
        finally:
            scope["method"] = "HEAD"

    def taker(self, method: str, path: str) -> APIRoute | None:
        """The route that handles such requests, or one of another method if they get a 405."""
        node = self._find(path)
        if node is None:
            return None
        route = node.routes.get(method)
        if route is None:
            return next(iter(node.routes.values()))
        match, _ = route.matches({"type": "http", "method": method, "path": path})
        return route if match is Match.FULL else None

    def _find(self, path: str) -> "_Node | None":
        if path != "/" and path.endswith("/"):
            return None
        node = self._root
        for segment in path[1:].split("/"):
            found = node.children.get(segment) or node.children.get("{}")
            if found is None:
                return None
            node = found
        return node if node.routes else None


async def _count_unmatched(scope: Scope) -> Principal | None:
    """Count a request that matches no feature's route, so that it is limited as well.

    Returns its user, if it has a valid token.

    The documentation is not counted: it has its own limit.

    Raises:
        RateLimited: too many.
    """
    path = _path(scope)
    if path in _DOCUMENTATION or path.startswith(_DOCUMENTATION[-1]):
        return None
    return await edge_of(Request(scope)).count(scope, None)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class _Node:
    __slots__ = ("children", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.routes: dict[str, APIRoute] = {}
