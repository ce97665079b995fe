"""The page at `/` in `local`: what runs here, and where to look next."""

from html import escape

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from backstay.settings import Settings
from backstay.web.pages import linked, page

_LINKS = {
    "/docs": "the documentation of the API, where each route can be tried",
    "/redoc": "the same, to read",
    "/admin": "the admin console, for whoever has an account",
    "/health": "the state of the application and of what it depends on",
    "/dev/mailbox": "the mails that this machine keeps instead of sending them",
}


def install(app: FastAPI, settings: Settings) -> None:
    """Answer `/` where no other route does: one of the project comes first, whenever it is added.

    The page names no address of a database or service, and no secret.
    """
    shown = _LINKS.keys() - (set() if settings.mail.chosen == "file" else {"/dev/mailbox"})

    async def show(request: Request) -> Response:
        paths = {getattr(route, "path", None) for route in request.app.routes}
        links = [path for path in _LINKS if path in shown & paths]
        return page(settings.app.title, _body(settings, links), wide=True)

    route, not_found = Route("/", show), app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        match, child_scope = route.matches(scope)
        if match is Match.NONE:
            await not_found(scope, receive, send)
            return
        scope.update(child_scope)
        await route.handle(scope, receive, send)

    app.router.default = default


def _body(settings: Settings, links: list[str]) -> str:
    app, database = settings.app, "SQLite" if settings.db.is_sqlite else "PostgreSQL"
    facts = {
        "Version": escape(app.version),
        "Environment": escape(settings.environment.value),
        "Database": database,
        "Address": linked(app.public_url),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    rows = "".join(
        f'<tr><td><a href="{path}">{path}</a></td><td>{_LINKS[path]}</td></tr>' for path in links
    )
    about = f"<p>{escape(app.description)}</p>" if app.description else ""
    note = "This page is here in <code>local</code> only; a route of your own at / replaces it."
    return f'{about}<dl>{listed}</dl><table>{rows}</table><p class="soft">{note}</p>'
