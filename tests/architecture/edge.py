"""Checks the rules that every route keeps, and what clients without credentials can reach."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import TypeAdapter
from starlette.types import Message

from backstay.composition import Backstay
from backstay.core.masking import tells_secret
from backstay.core.permissions import PUBLIC, Policy
from backstay.web.dispatch import Route
from backstay.web.errors import MEDIA_TYPE
from backstay.web.request import JSON
from backstay.web.route_spec import RouteSpec
from tests.web.described import resolved

CONSOLE = {"/admin", "/admin/{path:path}"}
NOT_OF_THE_API = {"/docs", "/redoc", "/openapi.json", "/docs/assets/{name}", *CONSOLE}
UNLIMITED = {"/livez", "/readyz", "/metrics"}
ANY_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def routes_of(app: FastAPI) -> list[RouteContext]:
    """Every route of the API, those of included routers among them."""
    return [each for each in iter_route_contexts(app.routes) if each.path not in NOT_OF_THE_API]


def route_faults(app: FastAPI) -> list[str]:
    """Every rule that a route of an application breaks."""
    contexts = routes_of(app)
    if not contexts:
        return ["no route was found"]
    routes = [each.original_route for each in contexts]
    ours = [route for route in routes if isinstance(route, Route)]
    plain = [str(each.path) for each in contexts if not isinstance(each.original_route, Route)]
    ids = Counter(route.operation_id for route in ours)
    places = Counter(
        f"{method} {re.sub('{.*?}', '{}', route.path)}"
        for route in ours
        for method in route.methods or ()
    )
    return [
        *(f"{path}: outside the pipeline" for path in plain),
        *(f"{name}: {times} routes of this operation id" for name, times in _several(ids)),
        *(f"{place}: {times} routes" for place, times in _several(places)),
        *(fault for route in ours for fault in _spec_faults(route.path, route.spec, app)),
        *(
            fault
            for route in ours
            if not route.spec.is_page
            for fault in _documentation_faults(route, app.openapi())
        ),
    ]


def _several(counted: Counter[Any]) -> Iterator[tuple[Any, int]]:
    return ((name, times) for name, times in counted.items() if times > 1)


def _spec_faults(path: str, spec: RouteSpec, app: FastAPI) -> Iterator[str]:
    backstay: Backstay = app.state.backstay
    functions = [function for feature in backstay.features for function in feature.functions()]
    if spec.message not in {getattr(function, "__handles__", None) for function in functions}:
        yield f"{path}: no feature handles {spec.message.__name__}"
    if not isinstance(spec.message.__dict__.get("permission"), Policy):
        yield f"{path}: {spec.message.__name__} has no policy of its own"
    if spec.limit is None and path not in UNLIMITED:
        yield f"{path}: no limit class"
    if spec.takes_key:
        shown = names_in(TypeAdapter(spec.message.result_type()).json_schema())
        for name in sorted(filter(tells_secret, shown)):
            yield f"{path}: {spec.message.__name__} is replayable and answers with `{name}`"
        if spec.path.startswith("/auth/"):
            yield f"{path}: {spec.message.__name__} is replayable"


def names_in(schema: Any) -> Iterator[str]:
    """The names of the fields that a JSON schema describes, however deep."""
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for inner in schema.values():
            yield from names_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names_in(inner)


def _documentation_faults(route: Route, openapi: dict[str, Any]) -> Iterator[str]:
    (method,) = route.methods or {""}
    operation = openapi["paths"].get(route.path_format, {}).get(method.lower())
    if operation is None:
        yield f"{method} {route.path}: not documented"
        return
    owed = {"422", "500", "503"}
    owed |= {"401", "403"} if route.spec.message.permission is not PUBLIC else set()
    owed |= {"429"} if route.spec.limit is not None else set()
    answers = {
        status: list(resolved(openapi, answer).get("content", ()))
        for status, answer in operation["responses"].items()
    }
    kinds = {str(route.spec.unwell): [JSON, MEDIA_TYPE]}
    problems = {status for status in answers if answers[status] == kinds.get(status, [MEDIA_TYPE])}
    for status in sorted(owed - problems):
        yield f"{method} {route.path}: the problem {status} is not documented"
    for status in sorted(set(answers) - problems):
        if status >= "4":
            yield f"{method} {route.path}: {status} is documented as something else"


async def stranger_faults(app: FastAPI) -> list[str]:
    """Every route that answers strangers with anything but 401, or reads their body first."""
    faults: list[str] = []
    for context in routes_of(app):
        route = context.original_route
        if isinstance(route, Route) and route.spec.message.permission is PUBLIC:
            continue
        for method in context.methods or ():
            for headers in _STRANGERS:
                status, _, reads = await ask(app, method, path_of(context), headers)
                if status != 401 or reads:
                    faults.append(f"{method} {context.path}: {status} after {reads} reads")
    return faults


_STRANGERS = (
    {b"content-type": b"application/json"},
    {b"content-type": b"text/plain"},
    {b"content-type": b"application/json", b"content-length": b"17"},
    {b"content-type": b"application/json", b"authorization": b"Bearer e.y.J"},
)


async def method_faults(app: FastAPI) -> list[str]:
    """Every path whose 405 does not list exactly its methods in ``Allow``."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for context in iter_route_contexts(app.routes):
        if context.path in CONSOLE:
            continue  # it answers other methods itself
        methods[path_of(context)] |= context.methods or set()
        if "GET" in methods[path_of(context)] and isinstance(context.original_route, Route):
            methods[path_of(context)].add("HEAD")
    faults: list[str] = []
    for path, known in methods.items():
        other = next(method for method in METHODS if method not in known)
        status, headers, _ = await ask(app, other, path)
        allowed = set(headers.get("allow", "").split(", "))
        if status != 405 or allowed != known:
            faults.append(f"{other} {path}: {status}, allows {sorted(allowed)} of {sorted(known)}")
    return faults


def path_of(context: RouteContext) -> str:
    """The path of a route with sample values for its parameters."""
    return re.sub("{.*?}", ANY_ID, context.path_format or context.path or "")


async def ask(
    app: FastAPI, method: str, path: str, headers: dict[bytes, bytes] | None = None
) -> tuple[int, dict[str, str], int]:
    """The status and headers of the answer, and how often the app read the endless invalid body."""
    answers: list[Message] = []
    reads = 0

    async def receive() -> Message:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b'{"' * 40_000, "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http"},
        **{"method": method, "path": path, "raw_path": path.encode(), "query_string": b""},
        **{"headers": [(b"host", b"testserver"), *(headers or {}).items()], "root_path": ""},
        **{"client": ("192.0.2.1", 4000), "server": ("testserver", 80)},
    }
    await app(scope, receive, send)
    start = answers[0]
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], answered, reads
