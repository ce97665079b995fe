"""Builds the description of the API (OpenAPI 3.1), from which clients are generated."""

import json
from collections.abc import Container, Iterable
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts

from backstay.core.feature import Feature
from backstay.core.messages import Message
from backstay.web.callers import knows_caller, requires_caller
from backstay.web.dispatch import Route
from backstay.web.operations import Components, Node, describe, tidied
from backstay.web.route_spec import BEARER

_making = Lock()
_REFUSED_BY_FASTAPI = "#/components/schemas/HTTPValidationError"
_FIRST = {"auth": 0, "users": 1}
_LAST = {"access", "tiers", "system"}


def openapi_of(
    app: FastAPI,
    login_path: str,
    features: Iterable[Feature],
    conditional: Container[type[Message[Any]]],
    max_age: int,
) -> dict[str, Any]:
    """The OpenAPI description, built once under a lock: FastAPI fails if two threads build it.

    ``conditional`` are the messages whose handlers compare the request's preconditions.
    """
    with _making:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, login_path, features, conditional, max_age)
        return app.openapi_schema


def _described(
    app: FastAPI,
    login_path: str,
    features: Iterable[Feature],
    conditional: Container[type[Message[Any]]],
    max_age: int,
) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        contact=app.contact,
        license_info=app.license_info,
        servers=[{"url": "/"}],
    )
    common = Components(schema.setdefault("components", {}))
    scheme = {"type": "oauth2", "flows": {"password": {"tokenUrl": login_path, "scopes": {}}}}
    common.share("securitySchemes", BEARER, scheme)
    ours = [r for r in app.routes if isinstance(r, Route) and not r.spec.is_page]
    # a path and method may occur twice among hand-made routes: FastAPI describes the last one
    for (path, method), route in {(r.path_format, r.spec.method): r for r in ours}.items():
        operation = schema["paths"][path][method.lower()]
        is_conditional = route.spec.message in conditional
        describe(operation, route, common, is_conditional=is_conditional, max_age=max_age)
    for each in plain_routes(app):
        _describe_plain(each, schema["paths"].get(each.path_format, {}), common)
    schemas = schema["components"].setdefault("schemas", {})
    schemas.update({name: tidied(part) for name, part in schemas.items()})
    schema["tags"] = _tags(schema, features)
    return schema


def plain_routes(app: FastAPI) -> list[RouteContext]:
    """The routes of no feature, in the order in which they are tried."""
    return list(
        iter_route_contexts([route for route in app.routes if not isinstance(route, Route)])
    )


def _describe_plain(route: RouteContext, item: Node, common: Components) -> None:
    """Add what FastAPI does not know: the caller, and that every error is a problem."""
    for method in route.methods or ():
        operation = item.get(method.lower())
        if operation is None or not hasattr(route, "dependant"):
            continue
        statuses = {429, 500}
        if requires_caller(route):
            operation["security"] = [{BEARER: []}]
            statuses |= {401, 403}
        elif knows_caller(route):
            operation["security"] = [{}, {BEARER: []}]
        responses = operation["responses"]
        if _REFUSED_BY_FASTAPI in json.dumps(responses.get("422")):
            del responses["422"]
            statuses.add(422)
        for status in sorted(statuses):
            responses.setdefault(str(status), common.problem(status))


def _tags(schema: Node, features: Iterable[Feature]) -> list[Node]:
    """The groups of operations in the order in which a new reader needs them.

    Signing in comes first, then the features of this application, then those that administer it.
    """
    operations = [each for item in schema["paths"].values() for each in item.values()]
    names = dict.fromkeys(tag for each in operations for tag in each.get("tags", ()))
    ranks: dict[str, int] = {}
    about: dict[str, str] = {}
    for feature in features:
        rank = _FIRST.get(feature.name, len(_FIRST) + (feature.name in _LAST))
        for table in feature.routes:
            if table.tag not in ranks or table.tag == feature.name:
                ranks[table.tag] = rank
            if table.about:
                about[table.tag] = table.about
    ordered = sorted(names, key=lambda name: ranks.get(name, len(_FIRST)))
    return [
        {"name": name} | ({"description": about[name]} if name in about else {}) for name in ordered
    ]
