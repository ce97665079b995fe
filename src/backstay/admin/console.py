"""The console as an application: its routes, and what is checked before each of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as PlainRoute
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from backstay.admin import (
    acting,
    bulk,
    counting,
    exporting,
    pages,
    picking,
    proving,
    showing,
    sign_in,
)
from backstay.admin.catalog import Catalog
from backstay.admin.cookies import Cookies
from backstay.admin.rendering import asset, asset_response, environment
from backstay.admin.tables import BASE
from backstay.admin.visits import HOME, Handler, Parts, Visit
from backstay.core.addresses import normal_origin
from backstay.core.console import AdminPage, AdminView, arrangements_of
from backstay.core.errors import AppError, Forbidden, NotFound, Unauthenticated
from backstay.core.feature import Feature
from backstay.core.ports import AccessTokens, Clock
from backstay.core.principal import STRANGER, Principal
from backstay.settings import Environment, Settings
from backstay.web.dispatch import Route
from backstay.web.errors import refusal_of, tell, tell_unhandled
from backstay.web.state import edge_of

MOST_FIELDS = 2000
"""Of a form: a thousand chosen rows, and then some."""
_SAFE = {"GET", "HEAD"}


def console_of(
    routes: Iterable[Route],
    *,
    features: Sequence[Feature],
    settings: Settings,
    key: bytes,
    clock: Clock,
    tokens: AccessTokens,
    templates: Path | None = None,
) -> "Console":
    """The console of an application with these routes.

    Args:
        features: those that may arrange it, in their modules `admin`.
        key: signs its cookies.
        templates: the folder of the project's templates; those of pages are in `admin`.
    """
    said = list(arrangements_of(features))
    views = [each for each in said if isinstance(each, AdminView)]
    own = {each.path: each for each in said if isinstance(each, AdminPage)}
    cookies = Cookies(key, clock, secure=not settings.is_local)
    catalog = Catalog.of(routes, f"{settings.app.root_path}/v1", views)
    parts = Parts(
        title=settings.app.title,
        clock=clock,
        tokens=tokens,
        catalog=catalog,
        cookies=cookies,
        public_origin=settings.app.public_origin,
        pages=own,
        has_explorer=settings.app.swagger and settings.environment is not Environment.PRODUCTION,
        environment=environment(
            templates and templates / "admin",
            reloads=settings.is_local and templates is not None,
        ),
    )
    return Console(parts)


class Console:
    """The ASGI application that answers every request below ``/admin``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._router = Router(
            [
                self._route("/data/{path:path}", showing.show),
                self._route("", home),
                self._route("/", _to_home),
                self._route("/sign-in", sign_in.show, "GET", is_public=True),
                self._route("/sign-in", sign_in.sign_in, "POST", is_public=True),
                self._route("/sign-out", sign_in.sign_out, "POST"),
                self._route("/fresh", proving.show),
                self._route("/fresh", proving.prove, "POST"),
                self._route("/page/{path:path}", pages.show),
                *([self._route("/explorer", pages.explore)] if parts.has_explorer else []),
                self._route("/ask/{operation}", pages.ask),
                self._route("/bulk", bulk.start, "POST"),
                self._route("/form/{operation}", acting.show),
                self._route("/form/{operation}", acting.send, "POST"),
                self._route("/export/{operation}", exporting.export),
                self._route("/pick/{operation}", picking.pick),
                self._route("/count/{operation}", counting.count),
                PlainRoute(f"{BASE}/assets/{{digest}}/{{name}}", _asset),
                self._route("/{rest:path}", _nothing, is_public=True),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    def _route(
        self, path: str, handler: Handler, method: str = "GET", *, is_public: bool = False
    ) -> PlainRoute:
        named = SimpleNamespace(path_format=BASE + path.replace(":path", ""))

        async def answer(request: Request) -> Response:
            request.scope["route"] = named  # what metrics and logs call it
            return await self._answer(request, handler, is_public=is_public)

        return PlainRoute(BASE + path, answer, methods=[method])

    async def _answer(self, request: Request, handler: Handler, *, is_public: bool) -> Response:
        visit = Visit(self._parts, request)
        try:
            await self._identify(visit)
            if visit.session is None and not is_public:
                return await self._to_sign_in(visit)
            self._check_origin(request)
            if request.method not in _SAFE:
                await self._accept_form(visit, needs_token=not is_public)
            response = await handler(visit)
        except Exception as error:
            response = visit.error(_refusal(request, error))
        is_over = "set-cookie" in response.headers  # another session began, or this one has ended
        if visit.session is not None and not is_over and _is_navigation(request):
            self._parts.cookies.renew(response, visit.session)
        return response

    async def _identify(self, visit: Visit) -> None:
        """Find out who asks; a session that has ended elsewhere has ended here, too."""
        session = self._parts.cookies.read(visit.request)
        visit.principal = STRANGER
        if session is not None:
            named = Principal(user_id=session.user_id, session_id=session.session_id)
            try:
                visit.principal = await edge_of(visit.request).refresh(named)
                visit.session = session
            except Unauthenticated:
                pass
        visit.request.scope["backstay.principal"] = visit.principal

    async def _to_sign_in(self, visit: Visit) -> Response:
        request = visit.request
        await edge_of(request).count(request.scope, None)
        if request.method not in _SAFE:
            raise Unauthenticated("Your session has ended: sign in again, then repeat this.")
        target = request.scope["path"].removeprefix(BASE)
        if request.url.query:
            target += f"?{request.url.query}"
        response = visit.redirect("/sign-in", **({"next": target} if target else {}))
        self._parts.cookies.clear(response)
        return response

    async def _accept_form(self, visit: Visit, *, needs_token: bool) -> None:
        """Read a form, if a page of this console sent it.

        That of a sign-in belongs to no session yet: it has no token, only an origin.

        Raises:
            Forbidden: a page of another session sent it.
        """
        request = visit.request
        if needs_token:
            await visit.count()
        else:
            await sign_in.count(request)
        async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
            pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        visit.form = dict(pairs)
        visit.chosen = [value for name, value in pairs if name == "row"]
        session, token = visit.session, visit.form.get("csrf", "")
        if needs_token and session and not self._parts.cookies.is_token(session, token):
            raise Forbidden("This form is of another session: open its page again.")

    def _check_origin(self, request: Request) -> None:
        """Refuse forms of other origins, and to let their scripts read pages: `APP_CORS_ORIGINS`
        may ask the API only.

        Raises:
            Forbidden: a page of another origin asks, or does not say of which it is.
        """
        given = request.headers.getlist("origin")
        host = request.headers.get("host", "")
        own = {normal_origin(f"{scheme}://{host}") for scheme in ("http", "https")}
        is_own = set(map(normal_origin, given)) <= own | {self._parts.public_origin}
        if request.method not in _SAFE:
            site = request.headers.get("sec-fetch-site", "same-origin")
            is_own = is_own and bool(given) and site in {"same-origin", "none"}
        if not is_own:
            raise Forbidden("Only pages of this console may ask it.")


def _refusal(request: Request, error: Exception) -> AppError:
    """What a page says about an error, which is logged as that of any other request is."""
    refusal = refusal_of(error)
    if refusal is None:
        tell_unhandled(request.scope, error)
        return AppError()
    tell(request.scope, refusal)
    return refusal


async def home(visit: Visit) -> Response:
    """The first page: that of a feature, if the reader may see it, else what there is to see."""
    if visit.home is not None:
        return await pages.show_page(visit, HOME)
    await visit.count()
    return visit.page("home.html")


async def _to_home(visit: Visit) -> Response:
    await visit.count()
    return visit.redirect("")


async def _nothing(visit: Visit) -> Response:
    await edge_of(visit.request).count(visit.request.scope, None)
    raise NotFound("The console has no such page.")


async def _asset(request: Request) -> Response:
    """A static file. Servers of two releases may run side by side: one that has another file of
    this name gives it, too, but nobody may keep it."""
    name = request.path_params["name"]
    content, media_type = asset_response(name)
    is_asked_for = request.scope["path"] == asset(name)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"} if is_asked_for else {}
    return Response(content, headers=headers, media_type=media_type)


def _is_navigation(request: Request) -> bool:
    """Whether a person opened the page; what its script asks for does not prolong a session."""
    return request.headers.get("sec-fetch-mode", "navigate") == "navigate"
