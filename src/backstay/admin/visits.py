"""A request to the console: who makes it, and what its pages need."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from backstay.admin.catalog import Catalog
from backstay.admin.cookies import ConsoleSession, Cookies
from backstay.admin.operations import Operation, may_send
from backstay.admin.rendering import page
from backstay.admin.sending import Answer, Call, Pairs
from backstay.admin.tables import BASE
from backstay.core.bounded_map import BoundedMap
from backstay.core.console import DATA, AdminPage
from backstay.core.errors import AppError, Forbidden, FreshProofRequired
from backstay.core.ports import AccessTokens, Clock
from backstay.core.principal import STRANGER, Principal
from backstay.core.proof import check_proof
from backstay.web.state import edge_of, sender_of

_KEPT = 500
HOME = "dashboard"
"""The page of a feature with this path is the first one of the console."""


@dataclass(frozen=True)
class Parts:
    """What all requests to the console share; ``pages`` are those of features, by their paths, and
    ``kept`` what :meth:`Visit.kept` keeps."""

    title: str
    clock: Clock
    tokens: AccessTokens
    catalog: Catalog
    cookies: Cookies
    public_origin: str
    pages: Mapping[str, AdminPage]
    has_explorer: bool
    environment: Environment
    kept: BoundedMap[tuple[str, bytes, bool], Any] = field(
        default_factory=lambda: BoundedMap(_KEPT)
    )

    @cached_property
    def places(self) -> frozenset[str]:
        """The addresses that the navigation may lead to."""
        sections = (f"{BASE}{each.href}" for each in self.catalog.sections)
        own = (f"{BASE}/page/{path}" for path in self.pages)
        return frozenset({BASE, f"{BASE}/explorer", *sections, *own})


@dataclass(slots=True)
class Visit:
    """One request; ``form`` is what was submitted, and ``session`` is None before the sign-in."""

    parts: Parts
    request: Request
    session: ConsoleSession | None = None
    principal: Principal = STRANGER
    form: dict[str, str] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)

    @property
    def given(self) -> dict[str, str]:
        """The parameters of the address; empty ones, as of empty inputs, were not given."""
        return {name: value for name, value in self.request.query_params.items() if value.strip()}

    @property
    def catalog(self) -> Catalog:
        """What the console can show."""
        return self.parts.catalog

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """A page with what each of them shows."""
        token = self.parts.cookies.token(self.session) if self.session else ""
        shared = {
            "title": self.parts.title,
            "here": self.request.scope["path"],
            "address": self._address,
            "csrf": token,
            "who": self.principal.profile,
            "is_impersonated": self.principal.actor_id is not None,
            "menu": self._menu,
            "pages": self._pages() if self.session else "",
            "done": None,
            "problem": None,
        }
        return page(self.parts.environment.get_template(template), shared | values, status)

    def draw(self, macro: str, *values: Any) -> Markup:
        """A part of a page, by a macro of `_parts.html`."""
        module = self.parts.environment.get_template("_parts.html").module
        drawn: Markup = getattr(module, macro)(*values)
        return drawn

    def kept(self, about: str, make: Callable[[], Any]) -> Any:
        """What is drawn once for all pages ``about`` the same that this person sees: it depends on
        nothing but what they may do, which is less for whoever acts as them."""
        key = about, self.principal.digest, self.principal.actor_id is None
        found = self.parts.kept.get(key)
        if found is None:
            found = make()
            self.parts.kept.put(key, found)
        return found

    def error(self, error: AppError) -> Response:
        """The page about a refusal."""
        request_id = self.request.scope.get("backstay.request_id", "")
        response = self.page("error.html", status=error.status, error=error, request_id=request_id)
        for name, value in error.headers.items():
            response.headers[name] = value
        return response

    async def send(
        self,
        operation: Operation,
        path: Mapping[str, str],
        query: Pairs | None = None,
        body: dict[str, Any] | None = None,
        *,
        etag: str | None = None,
        key: str | None = None,
    ) -> Answer:
        """Send what a client of the API would have sent.

        Raises:
            AppError: it was refused.
        """
        return await Call(operation, path, query or [], body or {}, etag, key).send(self.request)

    def may(self, operation: Operation) -> bool:
        """Whether to offer it."""
        return may_send(self.principal, operation.message)

    async def count(self) -> None:
        """Count a page that may send nothing, under the limit of its reader.

        Raises:
            RateLimited: too many.
        """
        scope = self.request.scope
        await edge_of(self.request).limits.by_user(scope, self.principal, None)

    def demand(self, operation: Operation) -> None:
        """Show no form of what the principal may not send.

        Raises:
            Forbidden: so it is.
        """
        if not self.may(operation):
            raise Forbidden

    def lacks_proof(self, operation: Operation) -> bool:
        """Whether the password is asked for again before the operation may be sent.

        Whoever acts as somebody else may not send it at all, which no password changes.
        """
        if self.principal.actor_id is not None:
            return False
        try:
            origin = sender_of(self.request).origin
            check_proof(operation.message, self.principal, origin, self.parts.clock())
        except FreshProofRequired:
            return True
        return False

    def offered(self, operation_id: str) -> Operation | None:
        """The operation of an id, if it is there and to be offered."""
        found = self.catalog.acts.get(operation_id) or self.catalog.reads.get(operation_id)
        return found if found is not None and self.may(found) else None

    def picker_of(self, name: str, kind: str) -> str:
        """Where an input that names a row of a list searches for it; empty if it names none."""
        section = self.catalog.section_of(name) if kind == "text" else None
        if section is None or not self.may(section.operation):
            return ""
        return f"{BASE}/pick/{section.operation.id}"

    def redirect(self, path: str, **query: str) -> Response:
        """Go to another page of the console (RFC 9110, 15.4.4)."""
        told = f"?{urlencode(query)}" if query else ""
        return RedirectResponse(f"{BASE}{path}{told}", 303)

    def to_fresh(self, target: str = "") -> Response:
        """Ask for the password again, and come back to this page or the one at ``target``."""
        return self.redirect("/fresh", next=(target or self._address).removeprefix(BASE))

    @property
    def _address(self) -> str:
        """The path and the query of this page."""
        scope = self.request.scope
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    def _pages(self) -> Markup:
        here = self.request.scope["path"]
        if here not in self.parts.places:
            here = ""

        def make() -> Markup:
            return self.draw("navigation", self._menu(), here)

        drawn: Markup = self.kept(f"pages {here}", make)
        return drawn

    def _menu(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The navigation: groups of titles and addresses that the principal may open."""
        groups: dict[str, list[tuple[str, str]]] = {"": [], DATA: []}
        for each in self.parts.pages.values():
            if each.path != HOME and may_send(self.principal, each.query):
                groups.setdefault(each.group, []).append((each.title, f"{BASE}/page/{each.path}"))
        for section in self.catalog.sections:
            arranged = self.catalog.view_of(section.operation)
            if self.may(section.operation) and not (arranged and arranged.hidden):
                link = section.title, f"{BASE}{section.href}"
                groups.setdefault(section.group, []).append(link)
        if self.parts.has_explorer:
            groups["API"] = [*groups.get("API", ()), ("Explorer", f"{BASE}/explorer")]
        home = self.home
        first = ("Overview" if home is None else home.title, BASE)
        groups = {name: sorted(links) for name, links in groups.items()}
        groups[""].insert(0, first)
        return [(name, links) for name, links in groups.items() if links]

    @property
    def home(self) -> AdminPage | None:
        """The page of a feature that comes first, if the principal may see it."""
        first = self.parts.pages.get(HOME)
        return first if first is not None and may_send(self.principal, first.query) else None


Handler = Callable[[Visit], Awaitable[Response]]
"""Answers a request to the console."""
