"""Adds to an operation's description what FastAPI does not know, such as headers and errors."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from backstay.core.listing import PAGING, ListQuery
from backstay.core.permissions import PUBLIC
from backstay.web.answers import for_clients, kept_by_clients
from backstay.web.dispatch import Route
from backstay.web.errors import MEDIA_TYPE, PROBLEMS, Problem, TokenProblem
from backstay.web.headers import ALWAYS, COUNTED, FIELDS, HEADERS, WITH_PROBLEM, taken
from backstay.web.request import MULTIPART
from backstay.web.route_spec import BEARER, UploadRule

Node = dict[str, Any]
_SHARED = PAGING - {"sort"}
"""The parameters that are the same in every list."""
_FRESH = """

Asks for a proof of who you are that is at most {:g} seconds old: a sign-in, or `POST /auth/fresh`.
Otherwise it is refused with 401 `fresh_proof_required`."""


class Components:
    """The parts that several operations share, each written once under ``components``."""

    def __init__(self, written: Node) -> None:
        self._written = written
        self._models: dict[type[BaseModel], Node] = {}
        self._problems: dict[tuple[int, type[Problem]], Node] = {}

    def share(self, kind: str, name: str, part: Node) -> Node:
        """A reference to a part, or the part itself if its name is taken by a different one."""
        if self._written.setdefault(kind, {}).setdefault(name, part) == part:
            return {"$ref": f"#/components/{kind}/{name}"}
        return part

    def model(self, model: type[BaseModel], suffix: str = "") -> Node:
        """A reference to the schema of a model."""
        if model not in self._models:
            name = model.__name__ + suffix
            written = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for inner, part in written.pop("$defs", {}).items():
                self.share("schemas", inner, part)
            self._models[model] = self.share("schemas", name, {**written, "title": name})
        return self._models[model]

    def headers(self, names: Iterable[str]) -> Node:
        """References to the headers of a response."""
        return {name: self.share("headers", name, HEADERS[name]) for name in names}

    def problem(self, status: int, model: type[Problem] = Problem) -> Node:
        """A reference to the error response of a status."""
        if (status, model) not in self._problems:
            name, description = PROBLEMS[status]
            headers = self.headers((*ALWAYS, *COUNTED, *WITH_PROBLEM.get(status, ())))
            content = {MEDIA_TYPE: {"schema": self.model(model)}}
            part = {"description": description, "headers": headers, "content": content}
            known = model.__name__.removesuffix(Problem.__name__) + name
            self._problems[status, model] = self.share("responses", known, part)
        return self._problems[status, model]


def tidied(node: Any, *, by_name: bool = False) -> Any:
    """A schema without the titles that pydantic makes of names, and without null defaults."""
    if isinstance(node, list):
        return [tidied(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {
        name: tidied(part, by_name=not by_name and name == "properties")
        for name, part in node.items()
        if by_name or name != "default" or part is not None
    }
    if by_name:
        for name, part in found.items():
            if part.get("title") == name.replace("_", " ").title():
                del part["title"]
    return found


def describe(
    operation: Node, route: Route, common: Components, *, is_conditional: bool, max_age: int
) -> None:
    """Complete FastAPI's description of an operation.

    ``is_conditional`` says whether the handler checks entity tags, ``max_age`` for how many seconds
    clients may cache responses.
    """
    spec = route.spec
    operation["security"] = _security(route, common)
    if spec.message.fresh is not None:
        operation["description"] += _FRESH.format(spec.message.fresh.total_seconds())
    if spec.bodies:
        operation["requestBody"] = _body(route, common)
    elif route.parameters.has_body and not route.parameters.needs_body:
        operation["requestBody"]["required"] = False
    if spec.upload is not None:
        operation["requestBody"] = _upload(route.parameters.uploads[0], spec.upload)
    conditions = list(_conditions(route, is_conditional=is_conditional))
    parameters = _parameters(operation, route, common, conditions)
    if parameters:
        operation["parameters"] = parameters
    answered = operation["responses"][str(spec.status)]
    answered["description"] = HTTPStatus(spec.status).phrase
    for content in answered.get("content", {}).values():
        content["schema"].pop("title", None)
    answered["headers"] = common.headers(_headers(route, max_age))
    refusal = TokenProblem if spec.grants_tokens else Problem
    refusals = sorted(_refusals(route, conditions))
    operation["responses"] = {
        str(spec.status): answered,
        **_not_modified(route, common),
        **{str(each): common.problem(each, refusal) for each in refusals},
        **_unwell(route, answered, common),
    }


def _security(route: Route, common: Components) -> list[Node]:
    """The required credentials. With an empty alternative (``{}``) they are optional."""
    if route.spec.message.permission is not PUBLIC:
        return [{BEARER: []}]
    known = route.spec.credentials
    for name, scheme in known.items():
        if scheme is not None:
            common.share("securitySchemes", name, dict(scheme))
    return [{}, *({name: []} for name in known)] if known else []


def _body(route: Route, common: Components) -> Node:
    """The body that a custom endpoint reads.

    The schema of a message gets the suffix ``Body``, because generated clients have a model for the
    schema and a function with the message's name.
    """
    bodies, message = route.spec.bodies, route.spec.message
    return {
        "required": all(
            any(f.is_required() for f in m.model_fields.values()) for m in bodies.values()
        ),
        "content": {
            kind: {"schema": common.model(model, "Body" if model is message else "")}
            for kind, model in bodies.items()
        },
    }


def _upload(field: str, rule: UploadRule) -> Node:
    """The body of an upload: the file itself, or a form with it."""
    file = {"type": "string", "format": "binary", "maxLength": rule.max_bytes}
    form = {"type": "object", "properties": {field: file}, "required": [field]}
    kinds = ", ".join(rule.media_types)
    encoding = {field: {"contentType": kinds}}
    return {
        "required": True,
        "content": {
            **{kind: {"schema": file} for kind in rule.media_types},
            MULTIPART: {"schema": form, "encoding": encoding},
        },
    }


def _is_list(route: Route) -> bool:
    return issubclass(route.spec.message, ListQuery)


def _has_tag(route: Route) -> bool:
    spec = route.spec
    is_tagged = not _is_list(route) or kept_by_clients(spec.message)
    is_view = spec.endpoint is None and spec.sends_view
    return is_view and is_tagged and spec.message.result_type() is not None


def _conditions(route: Route, *, is_conditional: bool) -> Iterator[str]:
    reads = route.spec.method == "GET" and _has_tag(route)
    if reads or is_conditional:
        yield "If-Match"
    if reads or (is_conditional and route.spec.method != "POST"):
        yield "If-None-Match"


def _headers(route: Route, max_age: int) -> Iterator[str]:
    """The header fields of a successful response."""
    spec = route.spec
    yield from ALWAYS
    if spec.limit is not None:
        yield from COUNTED
    if _has_tag(route):
        yield "ETag"
    if _is_list(route):
        yield "Link"
    if spec.location is not None:
        yield "Location"
    if spec.takes_key:
        yield "Idempotent-Replayed"
    if spec.streams is not None:
        yield "Content-Disposition"
    if spec.sets_cookies:
        yield "Set-Cookie"
    if for_clients(spec.message, max_age):
        yield "Cache-Control"


def _unwell(route: Route, answered: Node, common: Components) -> Node:
    """The response that has the result although its status is an error."""
    status = route.spec.unwell
    if status is None:
        return {}
    problem = {MEDIA_TYPE: {"schema": common.model(Problem)}}
    headers = common.headers(WITH_PROBLEM.get(status, ()))
    part = {
        "description": PROBLEMS[status][1],
        "headers": {**answered["headers"], **headers},
        "content": {**answered["content"], **problem},
    }
    return {str(status): part}


def _not_modified(route: Route, common: Components) -> Node:
    if route.spec.method != "GET" or not _has_tag(route):
        return {}
    of_lists = ("Link",) if _is_list(route) else ()
    headers = common.headers((*ALWAYS, *COUNTED, *of_lists, "ETag", "Cache-Control"))
    part = {"description": "The client has what is shown", "headers": headers}
    name = "ListNotModified" if of_lists else "NotModified"
    return {"304": common.share("responses", name, part)}


def _refusals(route: Route, conditions: list[str]) -> set[int]:
    spec = route.spec
    statuses = {400, 422, 500, 503, *spec.refuses}
    if spec.limit is not None:
        statuses.add(429)
    if spec.message.permission is not PUBLIC:
        statuses |= {401, 403}
    if "{" in spec.path:
        statuses.add(404)
    if spec.method in {"PUT", "PATCH", "DELETE", "POST"}:
        statuses.add(409)
    if conditions:
        statuses.add(412)
    if route.parameters.has_query:
        statuses.add(414)
    if route.parameters.has_body or spec.upload is not None:
        statuses |= {408, 413, 415}
    if spec.upload is not None:
        statuses.add(507)
    return statuses


def _parameters(
    operation: Node, route: Route, common: Components, conditions: list[str]
) -> list[Node]:
    fields = [*conditions, *(["Idempotency-Key"] if route.spec.takes_key else [])]
    cookies = route.spec.cookies.items()
    return [
        *(_parameter(each, route, common) for each in operation.get("parameters", ())),
        *(common.share("parameters", name, FIELDS[name]) for name in fields),
        *(taken(name, description, where="cookie") for name, description in cookies),
    ]


def _parameter(parameter: Node, route: Route, common: Components) -> Node:
    """A parameter without ``null``: a client cannot send that in a URL, and leaves it out.

    ``required: false`` is the default (OpenAPI 3.1, 4.8.12), and a list has many parameters.
    """
    if not parameter.get("required"):
        parameter.pop("required", None)
    schema = parameter["schema"]
    kinds = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    if len(kinds) == 1:
        schema.update(kinds[0])
    elif kinds:
        schema["anyOf"] = kinds
    schema.pop("title", None)
    schema.pop("description", None)
    if not _is_list(route) or parameter["name"] not in PAGING:
        return parameter
    default = schema.pop("default", None)
    if default:
        shown = str(default).lower()
        parameter["description"] = f"{parameter['description']} Default: `{shown}`."
    if parameter["name"] not in _SHARED:
        return parameter
    return common.share("parameters", parameter["name"], parameter)
