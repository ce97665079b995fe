"""Adds the admin console, which is imported with the first request to it."""

import asyncio
from collections.abc import Callable, Sequence

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.composition import Backstay
from backstay.web.dispatch import Route as Row


class _Console:
    """The console, made when somebody asks for it: most workers serve it rarely or never."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._made: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._made is None:  # in a thread, since it takes as long as many requests
            self._made = asyncio.ensure_future(asyncio.to_thread(self._make))
        await (await asyncio.shield(self._made))(scope, receive, send)


class _PlainRoute(Route):
    counts_itself = True


def install(app: FastAPI, backstay: Backstay, rows: Sequence[Row]) -> None:
    """Serve the console of these routes at ``/admin`` and below."""

    def make() -> ASGIApp:
        from backstay.admin.console import console_of

        return console_of(
            rows,
            features=backstay.features,
            settings=backstay.settings,
            key=backstay.key,
            clock=backstay.clock,
            tokens=backstay.tokens,
            templates=backstay.templates,
        )

    console = _Console(make)
    app.router.routes += [
        _PlainRoute("/admin", console, include_in_schema=False),
        _PlainRoute("/admin/{path:path}", console, include_in_schema=False),
    ]
