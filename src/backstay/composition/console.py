"""Adds the admin console, which is imported with the first request to it."""

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.composition import Backstay
from backstay.core.console import AdminView, arrangements_of
from backstay.core.listing import ListQuery
from backstay.core.messages import argument_of
from backstay.core.wiring import Code, Flaw
from backstay.web.dispatch import Route as Row

_PATH = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")


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


def faults(backstay: Backstay) -> Iterator[Flaw]:
    """What the modules `admin` of features say that cannot be."""
    asked = {e.message for f in backstay.features for t in f.routes for e in t.operations("")}
    for each in arrangements_of(backstay.features):
        message = each.list if isinstance(each, AdminView) else each.query
        if message not in asked:
            problem = f"{type(each).__name__} is of {message.__name__}, which no route sends."
            yield Flaw(Code.ADMIN_VIEW, problem, "Add a route, or remove this.").of(each)
        elif isinstance(each, AdminView):
            yield from _view_faults(each, asked)
        elif not _PATH.fullmatch(each.path):
            problem = f"The path {each.path!r} of a page of the console is no path."
            yield Flaw(Code.ADMIN_VIEW, problem, "Write one such as `reports/sales`.").of(each)


def _view_faults(view: AdminView, asked: Collection[Any]) -> Iterator[Flaw]:
    shown = argument_of(view.list, ListQuery)
    known = {*shown.model_fields, *shown.model_computed_fields}
    for name in (*view.columns, *view.cells):
        if name not in known:
            problem = f"{view.list.__name__} has no column `{name}`."
            near = get_close_matches(name, known, n=1) or [f"one of {', '.join(sorted(known))}"]
            yield Flaw(Code.ADMIN_VIEW, problem, f"Write {near[0]}.").of(view)
    for action in view.actions:
        if action not in asked:
            problem = f"{action.__name__} is an action of {view.list.__name__} without a route."
            yield Flaw(Code.ADMIN_VIEW, problem, "Add a route that sends it.").of(view)


def install(app: FastAPI, backstay: Backstay, rows: Sequence[Row]) -> None:
    """Serve the console of these routes at ``/admin`` and below."""

    def make() -> ASGIApp:
        from backstay.admin.console import console_of

        b = backstay
        return console_of(rows, b.features, b.settings, b.key, b.clock, b.tokens, b.templates)

    console = _Console(make)
    app.router.routes += [
        _PlainRoute("/admin", console, include_in_schema=False),
        _PlainRoute("/admin/{path:path}", console, include_in_schema=False),
    ]
