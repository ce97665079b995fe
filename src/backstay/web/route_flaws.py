"""Checks the rows of a table of routes, so that a wrong one stops the start, not a request."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from inspect import isclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from backstay.core.messages import Command, Query
from backstay.core.permissions import Source
from backstay.core.streams import row_of
from backstay.core.uploads import upload_fields
from backstay.core.wiring import Code, Flaw
from backstay.limits.classes import LimitClass
from backstay.web.route_spec import RouteOptions, RouteSpec
from backstay.web.rows import FORMATS

_PATH = re.compile(r"/|(?:/(?:[^/{}?#\s]|\{\w+(?::\w+)?\})+)+")
_PLACEHOLDER = re.compile(r"\{(\w*)[^}]*\}")
_GIVEN = tuple(sorted(RouteOptions.__optional_keys__))
OPTIONS = frozenset((*_GIVEN, "streams", "filename", "render", "upload"))
"""The attributes of a row that its call may set."""


def call_flaws(method: str, prefix: str, path: Any, options: Iterable[str]) -> Iterator[Flaw]:
    """What is wrong with the call that adds a row.

    That is told at boot, with all other faults, and not where the call is, by a traceback.
    """
    row = f"{method} {prefix}{path}"
    if not isinstance(path, str):
        problem = f"{path!r} stands where the path of a {method} route should be."
        yield Flaw(Code.ROUTE_PATH, problem, "Write the path, then the message.")
        return
    if path and not path.startswith("/"):
        problem = f"The path {path!r} lacks the `/` in front, and would be {prefix}{path}."
        yield Flaw(Code.ROUTE_PATH, problem, f'Write "/{path}".')
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(name, _GIVEN, n=1)
            hint = f"Write `{near[0]}=`." if near else f"Its options are {', '.join(_GIVEN)}."
            yield Flaw(Code.ROUTE_OPTION, f"{row} has no option `{name}`.", hint)


@cache
def flaws_of(spec: RouteSpec) -> tuple[Flaw, ...]:
    """The flaws of one row, regardless of all others."""
    return tuple(_flaws(spec))


def _flaws(spec: RouteSpec) -> Iterator[Flaw]:
    message: Any = spec.message
    if not is_message(message):
        named = message if hasattr(message, "__name__") else type(message)
        problem = f"{_route(spec)} names {named.__name__}, which is no message class."
        hint = "Name the class that derives from Command or Query."
        yield Flaw(Code.ROUTE_NO_MESSAGE, problem, hint)
        return
    in_path = tuple(_path_flaws(spec))
    yield from in_path
    if shapes := tuple(_shape_flaws(spec)):
        yield from shapes  # the other checks read these options
        return
    yield from _method_flaws(spec)
    results = tuple(_result_flaws(spec))
    yield from results or _answer_flaws(spec)
    yield from _stream_flaws(spec)
    yield from _upload_flaws(spec)
    limit: Any = spec.limit
    if not isinstance(limit, LimitClass | None):
        problem = f"{_route(spec)} has the limit {limit!r}, which is no class of limits."
        hint = "Declare a LimitClass beside the routes, or None if requests are not counted."
        yield Flaw(Code.ROUTE_LIMIT, problem, hint)
    if spec.endpoint is None and not in_path:  # a custom endpoint reads the request itself
        yield from _placeholder_flaws(spec)


_SHAPES: dict[str, tuple[Any, str]] = {
    "status": (int, "201"),
    "refuses": (tuple | list, "(404,)"),
    "path_names": (Mapping, '{"number": "id"}'),
    "name": (str, '"list_orders"'),
}


def _shape_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    """Options with values of another type than they have."""
    given = {name: getattr(spec, name) for name in _SHAPES}
    shapes = dict(_SHAPES)
    if spec.upload is not None:
        given |= spec.upload._asdict()
        shapes |= {"media_types": (tuple | list, '("image/png",)'), "max_bytes": (int, "1_000_000")}
    for name, value in given.items():
        kind, written = shapes[name]
        if not isinstance(value, kind):
            problem = f"`{name}` of {_route(spec)} is {value!r}."
            yield Flaw(Code.ROUTE_OPTION, problem, f"Write it like `{name}={written}`.")


def is_message(value: Any) -> bool:
    """Whether a value is a command or query class."""
    return isclass(value) and issubclass(value, (Command, Query))


def _route(spec: RouteSpec) -> str:
    return f"{spec.method} {spec.path or '(no path)'}"


def _path_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    if not _PATH.fullmatch(spec.path):
        hint = "Write it like `/orders/{id}`: one `/` at the beginning, none at the end, no `?`."
        yield Flaw(Code.ROUTE_PATH, f"No request has the path of {_route(spec)}.", hint)


def _method_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    """A GET must change nothing (RFC 9110, 9.2.1); a query too long for a URL may be posted."""
    name = spec.message.__name__
    if spec.method == "GET" and issubclass(spec.message, Command) and not spec.is_page:
        problem = f"{_route(spec)} sends the command {name}: whoever follows a link changes things."
        yield Flaw(Code.ROUTE_METHOD, problem, "Route it with post, put, patch or delete.")
    if spec.method in {"PUT", "PATCH", "DELETE"} and issubclass(spec.message, Query):
        problem = f"{_route(spec)} sends the query {name}, which changes nothing."
        yield Flaw(Code.ROUTE_METHOD, problem, "Route it with get, or with post if it has a body.")
    if spec.method == "GET" and spec.endpoint is None and Source.JSON in _sources(spec).values():
        problem = f"{_route(spec)} sends {name}, which has fields in the body; GET has none."
        yield Flaw(Code.ROUTE_METHOD, problem, "Take them from the query, or route it with post.")


def _answer_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    creates = spec.status == 201 or spec.location is not None
    if creates and issubclass(spec.message, Query):
        problem = f"{_route(spec)} says that {spec.message.__name__} creates; it is a query."
        yield Flaw(Code.ROUTE_STATUS, problem, "Remove `location` and `status=201`.")
    results = _results(spec)
    if not 200 <= spec.status < 300:
        problem = f"{_route(spec)} answers success with {spec.status}."
        yield Flaw(Code.ROUTE_STATUS, problem, "Use a status from 200 to 299.")
    elif spec.endpoint is None and spec.status in {204, 205} and set(results) - {NoneType}:
        problem = f"{_route(spec)} answers {spec.status}, which has no body, with a result."
        yield Flaw(Code.ROUTE_STATUS, problem, "Set `status=200`, or ask for None.")
    if spec.location is not None and spec.endpoint is None and results:
        yield from _location_flaws(spec, spec.location, results)


def _result_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    """Results that cannot be sent as JSON; a page or a custom endpoint makes what it likes of one,
    and of a stream another check tells."""
    if spec.endpoint is not None or not spec.sends_view:
        return
    for result in _results(spec):
        if result in {NoneType, Any} or isinstance(result, TypeVar) or row_of(result):
            continue
        if not (isclass(result) and issubclass(result, BaseModel)):
            name = result.__name__ if isclass(result) else str(result)
            problem = (
                f"{_route(spec)} sends {spec.message.__name__}, which answers {name}, no View."
            )
            hint = "Answer with a class that derives from View, with a Page of them, or with None."
            yield Flaw(Code.ROUTE_RESULT, problem, hint)


def _stream_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    name = spec.message.__name__
    rows = [row_of(each) for each in _results(spec)]
    if spec.streams is None:
        if any(rows) and spec.endpoint is None:
            problem = f"{_route(spec)} sends {name}, which answers with a stream."
            yield Flaw(Code.ROUTE_STREAM, problem, "Route it with stream.")
        return
    if not all(rows) or issubclass(spec.message, Command):
        problem = f"{_route(spec)} streams what {name} answers, which is no query for a stream."
        yield Flaw(Code.ROUTE_STREAM, problem, f"Derive {name} from Query[Stream[...]].")
    elif not spec.streams:
        problem = f"{_route(spec)} does not say the media type of its stream."
        hint = "Name it as media_type=..., or end the path with .csv or .jsonl."
        yield Flaw(Code.ROUTE_STREAM, problem, hint)
    elif bytes not in rows and spec.streams not in FORMATS:
        problem = f"{_route(spec)} cannot write rows as {spec.streams}."
        hint = f"Use one of {', '.join(FORMATS)}, or answer with a Stream[bytes]."
        yield Flaw(Code.ROUTE_STREAM, problem, hint)


def _upload_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    name, uploads, rule = spec.message.__name__, upload_fields(spec.message), spec.upload
    in_body = [n for n, s in _sources(spec).items() if s is Source.JSON and n not in uploads]
    if rule is None:
        if uploads and spec.endpoint is None:
            problem = f"{_route(spec)} sends {name}, whose field `{uploads[0]}` is an upload."
            yield Flaw(Code.ROUTE_UPLOAD, problem, "Route it with upload.")
    elif len(uploads) != 1 or not issubclass(spec.message, Command):
        problem = f"{_route(spec)} takes an upload, and {name} is no command with one."
        yield Flaw(Code.ROUTE_UPLOAD, problem, f"Declare one field of {name} as Upload.")
    elif in_body:
        problem = f"{_route(spec)} takes the field `{in_body[0]}` of {name} from nowhere."
        hint = "Declare it as FromPath[...] or FromQuery[...]: the body is the upload."
        yield Flaw(Code.ROUTE_UPLOAD, problem, hint)
    elif not rule.media_types or rule.max_bytes < 1:
        problem = f"{_route(spec)} accepts no upload at all."
        hint = "Name the media types in media_types=(...,) and the most bytes in max_bytes=."
        yield Flaw(Code.ROUTE_UPLOAD, problem, hint)


def _location_flaws(spec: RouteSpec, location: str, results: tuple[Any, ...]) -> Iterator[Flaw]:
    models = [each for each in results if isinstance(each, type) and issubclass(each, BaseModel)]
    for name in _PLACEHOLDER.findall(location):
        if not models or any(name not in _shown(model) for model in models):
            told = " or ".join(getattr(each, "__name__", str(each)) for each in results)
            problem = f"`location` of {_route(spec)} names `{name}`, which is no field of {told}."
            yield Flaw(Code.ROUTE_LOCATION, problem, "Name a field of the result.")


def _placeholder_flaws(spec: RouteSpec) -> Iterator[Flaw]:
    message, written = spec.message.__name__, _PLACEHOLDER.findall(spec.path)
    sources = _sources(spec)
    for name in [*written, *(each for each in spec.path_names if each not in written)]:
        field = spec.path_names.get(name, name)
        if name not in written:
            problem = f"`path_names` of {_route(spec)} names `{name}`, which is not in the path."
            yield Flaw(Code.ROUTE_PLACEHOLDER, problem, "Remove it.")
        elif sources.get(field) is not Source.PATH:
            problem = (
                f"{_route(spec)} has `{{{name}}}`; {message} has no field `{field}` from a path."
            )
            hint = f"Declare `{field}: FromPath[...]` in {message}, or name what it calls this."
            yield Flaw(Code.ROUTE_PLACEHOLDER, problem, hint)
    filled = {spec.path_names.get(name, name) for name in written}
    for field, source in sources.items():
        if source is Source.PATH and field not in filled:
            problem = f"{_route(spec)} lacks `{{{field}}}`, which {message} takes from the path."
            yield Flaw(Code.ROUTE_PLACEHOLDER, problem, f"Put `{{{field}}}` into the path.")


def _sources(spec: RouteSpec) -> dict[str, Source]:
    return dict(spec.message.sources())


def _results(spec: RouteSpec) -> tuple[Any, ...]:
    try:
        result = spec.message.result_type()
    except TypeError:
        return ()
    options = get_args(result) if get_origin(result) in {Union, UnionType} else (result,)
    return tuple(NoneType if each is None else each for each in options)


def _shown(model: type[BaseModel]) -> set[str]:
    """The names of a model's fields in a response."""
    named = {field.serialization_alias or name for name, field in model.model_fields.items()}
    return named | set(model.model_computed_fields)
