"""Derives from a message its parameters in path, query and body, and reads a request into it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cached_property, partial
from inspect import Parameter
from itertools import islice
from typing import Annotated, Any, get_args, get_origin
from uuid import UUID

from fastapi import Body, Path, Query
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from starlette.datastructures import QueryParams
from starlette.requests import Request

from backstay.core.bounded_map import BoundedMap
from backstay.core.errors import FieldError, Invalid
from backstay.core.listing import Equals, ListQuery
from backstay.core.messages import Message
from backstay.core.permissions import Source
from backstay.core.uploads import Upload, upload_fields
from backstay.core.validation import MOST_FAULTS, validated
from backstay.web.request import body_of, fields_of

TEXT_OR_JOINT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[,:]', re.DOTALL)
"""A JSON string, or a comma or colon outside of strings. A string without an end matches, too, so
that no part of a body is scanned twice."""
_OURS = frozenset({Message.__module__, ListQuery.__module__})
"""The modules whose validators look at nothing but the message."""
_PAGING = frozenset({"page", "per_page", "total", "limit", "sort"})
"""What clients ask again and again in the same words: cursors and searches differ each time."""
_KEPT, _KEPT_LENGTH = 32, 100  # queries per list, and bytes of the longest
_STRICT = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Parameters:
    """How a request carries one type of message.

    A body may be left out by a POST if no field of it is required. The models of query and body are
    made with the first request, or when the API is described: of most routes a worker needs none.
    """

    def __init__(
        self, message: type[Message[Any]], path_names: Mapping[str, str], method: str
    ) -> None:
        self._message = message
        self._path_names = path_names
        fields: dict[Source, dict[str, FieldInfo]] = {source: {} for source in Source}
        self.uploads = upload_fields(message)
        for name, source in message.sources().items():
            if name in self.uploads:
                continue
            fields[source][name] = message.model_fields[name]
        self._filters = message.filters() if issubclass(message, ListQuery) else {}
        self._flat = _flat(self._filters)
        self._fields = fields
        self.has_query = bool(fields[Source.QUERY])
        self.has_body = bool(fields[Source.JSON])
        required = any(field.is_required() for field in fields[Source.JSON].values())
        self.needs_body = required or method != "POST"
        self._known = BoundedMap[bytes, Message[Any]](_KEPT)
        has_more = self.has_body or self.uploads or fields[Source.PATH]
        unasked = None if has_more else _without_fields(message)
        if unasked is not None:
            self._known.put(b"", unasked)
        self._repeats = unasked is not None and _pages_only(message)

    @cached_property
    def signature(self) -> list[Parameter]:
        """The parameters of a function that takes them, for FastAPI."""
        in_path = {field: name for name, field in self._path_names.items()}
        found = [
            _parameter(
                in_path.get(name, name),
                Annotated[field.annotation, Path(), *_constraints(field)],
            )
            for name, field in self._fields[Source.PATH].items()
        ]
        if self.has_query:
            found.append(_parameter("query", Annotated[self._query, Query()]))
        if self.has_body:
            found.append(_parameter("body", Annotated[self._body, Body()]))
        return found

    @cached_property
    def _body(self) -> type[BaseModel]:
        whole = len(self._fields[Source.JSON]) == len(self._message.model_fields)
        if whole:
            return self._message
        return _model(self._message, "Body", _definitions(self._fields[Source.JSON]))

    @cached_property
    def _lists(self) -> set[str]:
        """The query's parameters that may be given several times."""
        return {name for name, f in self._query.model_fields.items() if _is_list(f.annotation)}

    async def read(self, request: Request, upload: Upload | None = None) -> Message[Any]:
        """Build the message from the request's path, query and body, which may be an upload.

        Raises:
            Invalid: one of these parts, or the message as a whole, is not valid.
        """
        if self.has_body:
            given = await body_of(request) or (b"" if self.needs_body else b"{}")
            check_extent(given, self._message.body_values)
            body = validated(partial(self._body.model_validate_json, extra="forbid"), given, "body")
            if isinstance(body, self._message):
                return body
        elif upload is None and _announces_content(request) and await body_of(request):
            raise Invalid("This route takes no body.")
        elif (known := self._known.get(request.scope["query_string"])) is not None:
            return known
        fields: dict[str, Any] = {}
        if self.has_query:
            named = self._given(request.query_params)
            fields = _named(self._validated(self._query, named))
        if self.has_body:
            fields |= _named(body)
        for flat, (name, operator) in self._flat.items():
            if flat in fields:
                operand = fields.pop(flat)
                fields.setdefault(name, {})[operator] = operand
        fields |= {self._path_names.get(n, n): value for n, value in request.path_params.items()}
        fields |= dict.fromkeys(self.uploads, upload)
        about = "body" if self.has_body else "query"
        message = validated(self._message.model_validate, fields, about)
        if self._repeats and message.model_fields_set <= _PAGING:
            self._keep(request.scope["query_string"], message)
        return message

    def _keep(self, query: bytes, message: Message[Any]) -> None:
        """Spare the next client that asks in the same words the reading of them."""
        if len(query) <= _KEPT_LENGTH:
            self._known.put(query, message)

    def _validated(self, model: type[BaseModel], given: dict[str, Any]) -> BaseModel:
        """The query; the refusal of an unknown parameter names the known ones."""
        try:
            return validated(model.model_validate, given, "query")
        except Invalid as error:
            error.errors = tuple(_naming_known(each, model) for each in error.errors)
            raise

    def _given(self, query: QueryParams) -> dict[str, Any]:
        lists: dict[str, list[str]] = {}
        for name, value in query.multi_items():
            lists.setdefault(name, []).append(value)
        repeated = [name for name in lists if name not in self._lists and len(lists[name]) > 1]
        if repeated:
            raise Invalid(
                "A query parameter of one value was given several times.",
                errors=tuple(
                    FieldError(name[:200], "repeated", "Give this parameter once")
                    for name in sorted(repeated)[:MOST_FAULTS]
                ),
            )
        return {n: values if n in self._lists else values[0] for n, values in lists.items()}

    @cached_property
    def _query(self) -> type[BaseModel]:
        fields, filters = self._fields[Source.QUERY], self._filters
        plain = {name: field for name, field in fields.items() if name not in filters}
        definitions = _definitions(plain)
        for flat, (name, operator) in self._flat.items():
            operand = filters[name].operators()[operator]
            unnamed = FieldInfo.merge_field_infos(
                operand, alias=None, validation_alias=None, serialization_alias=None
            )
            definitions[flat] = (operand.annotation, unnamed)
        if issubclass(self._message, ListQuery) and self._message.sortable:
            known = ", ".join(f"`{name}`" for name in self._message.sortable)
            annotation, field = definitions["sort"]
            described = FieldInfo.merge_field_infos(
                field, description=f"{field.description} Known: {known}."
            )
            definitions["sort"] = (annotation, described)
        return _model(self._message, "Query", definitions)


def _without_fields(message: type[Message[Any]]) -> Message[Any] | None:
    """The message of every request that names no field; None if it is not always the same.

    Its defaults must be there, and immutable, and no validator of its own may look at them.
    """
    validators = message.__pydantic_decorators__.model_validators.values()
    if any(each.func.__module__ not in _OURS for each in validators):
        return None
    if message.__pydantic_post_init__ or message.__pydantic_custom_init__:
        return None
    for field in message.model_fields.values():
        if field.is_required() or field.default_factory or not _is_constant(field.default):
            return None
    return message()


def _pages_only(message: type[Message[Any]]) -> bool:
    """Whether the message is a list, and only validators of ours look at how it is paged."""
    validators = message.__pydantic_decorators__.field_validators.values()
    return issubclass(message, ListQuery) and all(v.func.__module__ in _OURS for v in validators)


def _is_constant(default: Any) -> bool:
    if isinstance(default, tuple):
        return all(map(_is_constant, default))
    return default is None or isinstance(default, str | int | float | bytes | UUID | date | Decimal)


def check_extent(body: bytes, most: int) -> None:
    """Refuse a JSON body with more than ``most`` values and names: each could be a fault, and
    faults are expensive.

    It counts commas and colons: each value or name but the first of a list or object has one
    before it. A body that is too short for so many is not scanned. In valid JSON there is one
    between any two strings, so that scanning ``2 * most`` matches is enough.

    Raises:
        Invalid: there are more.
    """
    if len(body) <= 2 * most:
        return
    found = islice(TEXT_OR_JOINT.finditer(body), 2 * most)
    if sum(len(each[0]) == 1 for each in found) >= most:
        raise Invalid(f"The body may hold {most} values and names.")


def _naming_known(fault: FieldError, model: type[BaseModel]) -> FieldError:
    """The same fault; that of an unknown parameter names the known ones, or a filter's own."""
    if fault.code != "extra_forbidden":
        return fault
    name = fault.field.partition("__")[0]
    known = [each for each in model.model_fields if each.startswith(f"{name}__")]
    known = known or [each for each in model.model_fields if "__" not in each]
    return replace(fault, message=f"This is unknown here; known are {', '.join(known)}")


def _announces_content(request: Request) -> bool:
    fields = fields_of(request.scope)
    return fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields


def _named(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.model_fields_set}


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in {list, tuple, set, frozenset} or any(
        _is_list(option) for option in get_args(annotation)
    )


def _parameter(name: str, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation)


def _constraints(field: FieldInfo) -> tuple[Any, ...]:
    return tuple(m for m in field.metadata if not isinstance(m, Source))


def _definitions(fields: dict[str, FieldInfo]) -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in fields.items()}


def _model(
    message: type[Message[Any]], suffix: str, definitions: dict[str, Any]
) -> type[BaseModel]:
    model: type[BaseModel] = create_model(
        f"{message.__name__}{suffix}",
        __config__=_STRICT,
        __module__=message.__module__,
        **definitions,
    )
    return model


def _flat(filters: Mapping[str, type[Equals[Any]]]) -> dict[str, tuple[str, str]]:
    """By the name of a query parameter, such as ``name__gte``: its filter and operator."""
    return {
        name if operator == "eq" else f"{name}__{operator}": (name, operator)
        for name, kind in filters.items()
        for operator in kind.operators()
    }
