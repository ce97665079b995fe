"""The FastAPI application that servers call."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send


class Served(FastAPI):
    """FastAPI, whose requests begin at our own outermost layer.

    FastAPI and Starlette have three layers around it, and ask for telemetry. They answer errors
    that pass ours, of which there are none, and limit bodies where a project sets
    ``max_body_size``. As soon as a project adds a layer, a handler of all exceptions, such a limit
    or ``debug``, or another library wraps the layers, each request passes all of them.
    """

    _own: ASGIApp | None = None
    _first: ASGIApp | None = None
    _layers: Sequence[Middleware] = ()

    def seal(self) -> None:
        """Tell which layers are ours: those added so far."""
        self._layers = tuple(self.user_middleware)

    def build_middleware_stack(self) -> ASGIApp:
        stack = super().build_middleware_stack()
        self._own, self._first = stack, self._outermost(stack)
        return stack

    def _outermost(self, stack: ASGIApp) -> ASGIApp | None:
        """Our first layer inside those of the framework; None if one of these has work to do."""
        is_added = tuple(self.user_middleware) != self._layers
        is_answered = not {500, Exception}.isdisjoint(self.exception_handlers)
        if is_added or is_answered or self.debug or self.max_body_size is not None:
            return None
        first: Any = self._layers[0].cls
        layer: ASGIApp | None = stack
        while layer is not None and not isinstance(layer, first):
            layer = getattr(layer, "app", None)
        return layer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._first is None or scope["type"] != "http" or self.middleware_stack is not self._own:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
        await self._first(scope, receive, send)
