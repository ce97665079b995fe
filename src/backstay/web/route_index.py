"""Finds the route of a request in one step, however many routes there are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as ASGIMessage

from backstay.core.errors import AppError
from backstay.core.principal import Principal
from backstay.limits.classes import GENERAL, LimitClass
from backstay.web.callers import knows_caller, limit_of, require_caller, requires_caller
from backstay.web.dispatch import Route
from backstay.web.request import narrow
from backstay.web.sockets import admit, while_signed_in
from backstay.web.state import edge_of

Handlers = Mapping[Any, Any]
"""By the class of an exception: the function that answers it."""
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
        self._literal: dict[str, _Node] = {}
        for route in routes:
            node = self._root
            for segment in route.path_format.strip("/").split("/"):
                if segment.startswith("{"):
                    node.parameter = node = node.parameter or _Node()
                else:
                    node = node.children.setdefault(segment, _Node())
            if "{" not in route.path_format:
                self._literal[route.path_format] = node
            for method in route.methods or ():
                node.routes.setdefault(method, route)
                if method == "GET":
                    node.routes.setdefault("HEAD", route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._pass_socket_on(scope, receive, send)
            return
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

    def row_of(self, scope: Scope) -> Route | None:
        """The row that answers a request by itself, with the parameters of the path in the scope.

        None if there is none, and if the framework has a part in it: in a custom endpoint, or a
        path with more than names and whole segments. HEAD is also left to :meth:`__call__`.
        """
        values: list[str] = []
        node = self._find(_path(scope), values)
        route = None if node is None else node.routes.get(scope["method"])
        if not isinstance(route, Route) or route.segments is None or "" in values:
            return None
        if scope["method"] == "HEAD":
            return None
        scope["route"], scope["endpoint"] = route, route.endpoint
        scope["path_params"] = {
            **scope.get("path_params", {}),
            **dict(zip(route.segments, values, strict=True)),
        }
        return route

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._plain_route(scope)
        if getattr(route, "counts_itself", False):
            await route.original_route.handle(scope, receive, send)
            return
        limit = limit_of(route)
        if limit.body_bytes is not None:
            narrow(scope, limit.body_bytes)
        principal = await _count_unmatched(scope, limit)
        if principal is not None:
            scope["backstay.principal"] = principal
        elif requires_caller(route):
            await require_caller(Request(scope))  # now, since FastAPI reads the body first
        await self._fallback(scope, receive, send)

    async def _pass_socket_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._plain_route(scope)
        if route is not None:
            needs_caller = requires_caller(route) or not knows_caller(route)
            await admit(scope, limit_of(route), needs_caller=needs_caller)
            send = while_signed_in(scope, send)
        await self._fallback(scope, receive, send)

    def _plain_route(self, scope: Scope) -> Any:
        matching = (each for each in self.plain_routes if each.matches(scope)[0] is Match.FULL)
        return next(matching, None)

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

    def upload_bytes(self, scope: Scope) -> int | None:
        """The most bytes of the body of a request if its route takes an upload, else None."""
        node = self._find(_path(scope))
        route = node.routes.get(scope["method"]) if node else None
        return route.spec.upload_bytes if isinstance(route, Route) else None

    def is_essential(self, scope: Scope) -> bool:
        """Whether a request is served although the worker is overloaded."""
        if scope["type"] != "http" or (node := self._find(_path(scope))) is None:
            return False
        route = node.routes.get(scope["method"])
        return isinstance(route, Route) and route.spec.essential

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

    def _find(self, path: str, values: list[str] | None = None) -> "_Node | None":
        """The place of a path in the tree; ``values`` gets those of its parameters."""
        literal = self._literal.get(path)
        if literal is not None:
            return literal
        if path != "/" and path.endswith("/"):
            return None
        node = self._root
        for segment in path[1:].split("/"):
            found = node.children.get(segment)
            if found is None:
                found = node.parameter
                if found is None:
                    return None
                if values is not None:
                    values.append(segment)
            node = found
        return node if node.routes else None


class RowCaller:
    """Calls the row of a request itself, past the layers that FastAPI has around its router.

    Those translate exceptions and close files of forms, of which such a row has none. A project
    that has registered a handler of exceptions keeps them.
    """

    def __init__(self, app: ASGIApp, index: RouteIndex, outer: FastAPI, handlers: Handlers) -> None:
        self.app = app
        self._row_of = index.row_of
        self._is_off = outer.exception_handlers != handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_off:
            row = self._row_of(scope)
            if row is not None:
                await row.app(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _count_unmatched(scope: Scope, limit: LimitClass = GENERAL) -> Principal | None:
    """Count a request that matches no feature's route, so that it is limited as well.

    Returns its user, if it has a valid token.

    The documentation is not counted: it has its own limit.

    Raises:
        RateLimited: too many.
    """
    path = _path(scope)
    if path in _DOCUMENTATION or path.startswith(_DOCUMENTATION[-1]):
        return None
    return await edge_of(Request(scope)).count(scope, None, limit)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class _Node:
    __slots__ = ("children", "parameter", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, APIRoute] = {}
