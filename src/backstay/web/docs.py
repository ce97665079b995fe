"""The API's documentation pages, served from the package: they load nothing from other hosts."""

from asyncio import to_thread
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from backstay.core.errors import NotFound, Unauthenticated

ASSETS = Path(fastapi_offline.__file__).parent / "static"
_FILES = {"swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/docs/assets/favicon.png">{head}</head><body>{body}</body></html>
"""
_SWAGGER = (
    '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">',
    '<div id="swagger"></div><script src="/docs/assets/swagger-ui-bundle.js"></script>'
    '<script src="/docs/assets/start.js"></script>',
)
_REDOC = (
    "",
    '<redoc spec-url="/openapi.json" hide-logo></redoc>'
    '<script src="/docs/assets/redoc.standalone.js"></script>',
)
_START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger", deepLinking: true,
  validatorUrl: null, persistAuthorization: false, layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]});
"""
MayRead = Callable[[Request, str, str], Awaitable[bool]]


def install(app: FastAPI, *, may_read: MayRead | None) -> None:
    """Add the documentation pages.

    ``may_read`` decides whether a login and password may read them; with None, everybody may.
    """

    async def guard(request: Request) -> None:
        if may_read is not None:
            await _challenge(request, may_read)

    def page(parts: tuple[str, str]) -> Callable[[Request], Awaitable[Response]]:
        html = _PAGE.format(title=escape(app.title), head=parts[0], body=parts[1])

        async def show(request: Request) -> Response:
            await guard(request)
            return HTMLResponse(html, headers={"Content-Security-Policy": _CSP})

        return show

    async def schema(request: Request) -> Response:
        await guard(request)
        return JSONResponse(await to_thread(app.openapi))  # in a thread: the first call takes long

    app.router.routes += [
        Route("/docs", page(_SWAGGER), include_in_schema=False),
        Route("/redoc", page(_REDOC), include_in_schema=False),
        Route("/docs/assets/{name}", _asset, include_in_schema=False),
        Route("/openapi.json", schema, include_in_schema=False),
    ]


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    headers = {"Cache-Control": "public, max-age=86400"}
    if name == "start.js":
        return Response(_START, headers=headers, media_type="text/javascript")
    if name not in _FILES:
        raise NotFound
    return FileResponse(ASSETS / name, headers=headers)


async def _challenge(request: Request, may_read: MayRead) -> None:
    """Require Basic credentials (RFC 7617) that may read the documentation."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        login, _, password = b64decode(value, validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        login = password = ""
    challenge = 'Basic realm="documentation", charset="UTF-8"'
    if scheme.lower() != "basic" or not login:
        raise Unauthenticated("Sign in as a superuser.", challenge=challenge)
    try:
        allowed = await may_read(request, login, password)
    except ValueError:
        allowed = False  # no account can have such a login or password
    if not allowed:
        raise Unauthenticated("Sign in as a superuser.", challenge=challenge)
