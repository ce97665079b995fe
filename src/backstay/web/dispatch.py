"""Checks a request and sends the message of its row."""

import inspect
from collections.abc import Callable, Coroutine
from functools import cache, partial
from typing import Any

from fastapi.dependencies.utils import get_typed_signature
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.core.background import in_background
from backstay.core.errors import AppError, FieldError, Invalid
from backstay.core.messages import Message
from backstay.core.permissions import PUBLIC
from backstay.core.validation import MOST_FAULTS
from backstay.limits.classes import GENERAL
from backstay.web.answers import Responder, answer, answer_page
from backstay.web.limits import admission_of
from backstay.web.parameters import Parameters
from backstay.web.request import check_media_type, field_of, narrow
from backstay.web.route_spec import Endpoint, RouteSpec
from backstay.web.state import edge_of
from backstay.web.streams import answer_stream
from backstay.web.uploads import upload_of


class Route(APIRoute):
    """A route that authenticates a request and counts it before the body is read.

    Unless it has a custom endpoint, what FastAPI would know of it is made when the API is
    described: it takes most of the time that a route takes, and much of its memory.
    """

    spec: RouteSpec
    parameters: Parameters
    may_be_kept: bool
    segments: tuple[str, ...] | None = None
    """The names of the parameters of its path, if it needs nothing of the framework."""
    _as_known_to_fastapi: Callable[[], APIRoute]

    @classmethod
    def of(cls, spec: RouteSpec, prefix: str) -> "Route":
        """The route for one row of the table."""
        parameters = Parameters(spec.message, spec.path_names, spec.method)
        known = cache(partial(_known_to_fastapi, cls, spec, parameters, prefix))
        respond = _responder(spec)
        if respond is None and not _takes_only_request(spec.endpoint):
            route = known()
        else:
            route = cls.__new__(cls)
            route._as_known_to_fastapi = known
            route.spec, route.parameters = spec, parameters
            route.path, route.name = prefix + spec.path, spec.operation_id
            route.endpoint = spec.endpoint or _never_called
            route.methods, route.include_in_schema = {spec.method}, not spec.is_page
            route.path_regex, route.path_format, route.param_convertors = compile_path(route.path)
            route.app = (
                route._application(prefix, respond) if respond else route._around(route.endpoint)
            )
        route.spec, route.parameters = spec, parameters
        kept = spec.message.declared_cache()
        route.may_be_kept = respond is answer and kept is not None and kept.ttl != 0
        if respond is not None:
            route.segments = _segments(route)
        return route

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_as_known_to_fastapi":
            raise AttributeError(name)
        return getattr(self._as_known_to_fastapi(), name)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            await self._admit(request)
            self._check_form(request)
            return await inner(request)

        return handle

    def _application(self, prefix: str, respond: Responder) -> ASGIApp:
        """The ASGI application that answers requests of this route.

        FastAPI uses the route only to describe the API: its dependency solver would cost more than
        everything else at the edge (docs/decisions).
        """

        spec, read, fields = self.spec, self.parameters.read, self.parameters.uploads
        rule = spec.upload

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            await self._admit(request)
            try:
                self._check_form(request)
                upload = None if rule is None else upload_of(request, rule, fields[0])
                message = await read(request, upload)
                response = await respond(request, spec, message, prefix)
            finally:
                if "backstay.admission" in scope:
                    await admission_of(scope)
            await response(scope, receive, send)

        return app

    def _around(self, endpoint: Endpoint) -> ASGIApp:
        """The ASGI application around a custom endpoint that takes only the request."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            await self._admit(request)
            self._check_form(request)
            response = await endpoint(request)
            await response(scope, receive, send)

        return app

    async def _admit(self, request: Request) -> None:
        """Authenticate the request and count it, before its body is read.

        Under the general limit, a request with a valid token counts for its user. In all other
        cases it counts for the client's address.
        """
        edge, scope, limit = edge_of(request), request.scope, self.spec.limit
        if self.spec.message.permission is PUBLIC:
            if limit is GENERAL:
                await edge.count(scope, self.path_format)
            elif limit is not None:
                await edge.limits.by_address(scope, limit)
            return
        try:
            principal = await edge.authenticate(field_of(scope, b"authorization"))
        except AppError:
            if limit is not None:
                await edge.limits.by_address(scope, limit)
            raise
        scope["backstay.principal"] = principal
        if limit is GENERAL:
            counted = edge.limits.by_user(scope, principal, self.path_format)
            if self.may_be_kept and edge.cache_is_remote:
                # shares a round trip with the look into the cache
                scope["backstay.admission"] = in_background(counted)
            else:
                await counted
        elif limit is not None:
            await edge.limits.by_address(scope, limit)

    def _check_form(self, request: Request) -> None:
        """Refuse what FastAPI would ignore.

        That is a query where the route takes none, a body larger than this route allows, and a body
        of another media type.
        """
        if self.spec.body_bytes is not None and self.spec.upload is None:
            narrow(request.scope, self.spec.body_bytes)
        if request.scope["query_string"] and not self.parameters.has_query:
            raise Invalid(
                "This route takes no query parameters.",
                errors=tuple(
                    FieldError(name[:200], "extra_forbidden", "Extra inputs are not permitted")
                    for name in sorted(request.query_params.keys())[:MOST_FAULTS]
                ),
            )
        if self.parameters.has_body:
            check_media_type(request.scope, *self.spec.media_types)


@cache
def route_of(spec: RouteSpec, prefix: str) -> Route:
    """The route of a row; cached: it takes milliseconds, and tests make many applications."""
    return Route.of(spec, prefix)


def _segments(route: Route) -> tuple[str, ...] | None:
    """The names of the parameters of a path; None unless each is a text and a whole segment."""
    marked = [each for each in route.path_format.split("/") if "{" in each]
    names = tuple(each[1:-1] for each in marked)
    kinds = route.param_convertors
    is_plain = set(names) == set(kinds) and all(
        isinstance(kind, StringConvertor) for kind in kinds.values()
    )
    return names if is_plain else None


def _known_to_fastapi(
    kind: type[Route], spec: RouteSpec, parameters: Parameters, prefix: str
) -> Route:
    """The route with everything by which FastAPI describes the API."""
    result = spec.message.result_type()
    return kind(
        prefix + spec.path,
        spec.endpoint or _described(spec, parameters),
        methods=[spec.method],
        status_code=spec.status,
        response_model=None if result is type(None) or not spec.sends_view else result,
        tags=[spec.tag],
        summary=_summary(spec.message),
        description=inspect.getdoc(spec.message),
        operation_id=spec.operation_id,
        response_class=_response_class(spec, result),
        responses={"default": {}},  # web/operations.py describes each
        include_in_schema=not spec.is_page,
    )


async def _never_called(**_: Any) -> Response:
    raise NotImplementedError


def _described(spec: RouteSpec, parameters: Parameters) -> Endpoint:
    """A function from whose signature FastAPI reads the parameters."""

    async def endpoint() -> Response:
        return await _never_called()

    endpoint.__signature__ = inspect.Signature(parameters.signature)  # type: ignore[attr-defined]
    endpoint.__name__ = spec.operation_id
    return endpoint


def _takes_only_request(endpoint: Endpoint | None) -> bool:
    """Whether a custom endpoint needs no dependency solver."""
    if endpoint is None:
        return False
    parameters = get_typed_signature(endpoint).parameters.values()
    return [each.annotation for each in parameters] == [Request]


def _responder(spec: RouteSpec) -> Responder | None:
    """What sends the message of a row, unless a custom endpoint does."""
    if spec.endpoint is not None:
        return None
    if spec.streams is not None:
        return answer_stream
    return answer if spec.render is None else answer_page


def _response_class(spec: RouteSpec, result: Any) -> type[Response]:
    """The class from which FastAPI reads the media type of a success."""
    if spec.render is not None:
        return HTMLResponse
    if spec.streams is not None:
        return type("Streamed", (Response,), {"media_type": spec.streams})
    return PlainTextResponse if result is str else JSONResponse


def _summary(message: type[Message[Any]]) -> str:
    """The first sentence of a message's description, without its full stop."""
    return (inspect.getdoc(message) or message.__name__).split("\n")[0].split(". ")[0].rstrip(".")
