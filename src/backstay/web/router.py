"""Finds the route of a request in one step, however many there are."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backstay.core.errors import AppError


class MethodNotAllowed(AppError):
    """The path exists, the method does not (RFC 9110, 15.5.6)."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class RouteIndex:
    """Stands before the framework's router and takes the requests whose path it knows.

    Paths are looked up segment by segment in a tree; a literal segment beats a parameter. What
    is not found falls through to the framework, so that routes added by hand still work; it is
    counted before.
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
        """HEAD is GET of which only the headers are sent (RFC 9110, 9.3.2): the edge sees to it."""

        async def respond(message: Message) -> None:
            scope["method"] = "HEAD"  # the server looks here when it frames the answer
            await send(message)

        scope["method"] = "GET"
        try:
            await self(scope, receive, respond)
        finally:
            scope["method"] = "HEAD"

    def taker(self, method: str, path: str) -> APIRoute | None:
        """The route that takes the requests of a path; one of another method refuses them."""
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
