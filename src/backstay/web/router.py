"""Finds the route of a request by its path, in a time that does not grow with their number."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.core.errors import AppError


class MethodNotAllowed(AppError):
    """The path exists, but not with this method (RFC 9110, 15.5.6)."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class RouteIndex:
    """Runs before FastAPI's router and handles the requests whose path it knows.

    It looks a path up in a tree, segment by segment; a literal segment takes precedence over a
    parameter. A request whose path it does not know is counted and then passed to FastAPI, so that
    routes added by hand work.
    """

    def __init__(
        self,
        fallback: ASGIApp,
        routes: Iterable[APIRoute],
        count: Callable[[Scope, str], Awaitable[None]],
    ) -> None:
        self._fallback = fallback
        self._count = count
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
        if node is None or not node.routes:
            await self._count(scope, _path(scope))
            await self._fallback(scope, receive, send)
            return
        route = node.routes.get(scope["method"])
        if route is None:
            await self._count(scope, _path(scope))
            allowed = ", ".join(sorted(node.routes))
            raise MethodNotAllowed(f"Allowed here: {allowed}.", headers={"Allow": allowed})
        if scope["method"] == "HEAD":
            await self._as_get(scope, receive, send)
            return
        match, child_scope = route.matches(scope)
        if match is not Match.FULL:
            await self._count(scope, _path(scope))
            await self._fallback(scope, receive, send)
            return
        scope.update(child_scope)
        await route.handle(scope, receive, send)

    async def _as_get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle HEAD as GET (RFC 9110, 9.3.2). The layer ``Edge`` drops the body."""

        async def respond(message: Message) -> None:
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
        if node is None or not node.routes:
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
        return node


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class _Node:
    __slots__ = ("children", "routes")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.routes: dict[str, APIRoute] = {}
