"""Derives from a message what FastAPI must read: path, query and body, and puts it together."""

from inspect import Parameter
from typing import Annotated, Any, get_args, get_origin

from fastapi import Body, Path, Query
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from backstay.core.listing import Filter, ListQuery
from backstay.core.messages import Message, Source
from backstay.web.errors import invalid

_STRICT = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Parameters:
    """How one message type travels in a request."""

    def __init__(self, message: type[Message[Any]]) -> None:
        self._message = message
        fields: dict[Source, dict[str, FieldInfo]] = {source: {} for source in Source}
        for name, source in message.sources().items():
            fields[source][name] = message.model_fields[name]
        self._path = tuple(fields[Source.PATH])
        self._filters = _filters(fields[Source.QUERY])
        self.signature: list[Parameter] = [
            _parameter(name, Annotated[field.annotation, Path(), *_constraints(field)])
            for name, field in fields[Source.PATH].items()
        ]
        self.has_query = bool(fields[Source.QUERY])
        self.has_body = bool(fields[Source.JSON])
        if self.has_query:
            model = self._query_model(fields[Source.QUERY])
            self.signature.append(_parameter("query", Annotated[model, Query()]))
        if self.has_body:
            body = message if len(fields[Source.JSON]) == len(message.model_fields) else None
            self._whole = body is not None
            body_model = body or _model(message, "Body", _definitions(fields[Source.JSON]))
            self.signature.append(_parameter("body", Annotated[body_model, Body()]))

    def message(self, values: dict[str, Any]) -> Message[Any]:
        """The message that a request's path, query and body make.

        Raises:
            Invalid: the parts are valid, the message as a whole is not.
        """
        if self.has_body and self._whole:
            whole: Message[Any] = values["body"]
            return whole
        fields = {name: values[name] for name in self._path}
        for part in ("query", "body"):
            if part in values:
                model: BaseModel = values[part]
                fields |= {name: getattr(model, name) for name in model.model_fields_set}
        for flat, (name, operator) in self._filters.items():
            if flat in fields:
                operand = fields.pop(flat)
                fields.setdefault(name, {})[operator] = operand
        try:
            return self._message.model_validate(fields)
        except ValidationError as error:
            about = "body" if self.has_body else "query"
            raise invalid(error.errors(), about) from error

    def _query_model(self, fields: dict[str, FieldInfo]) -> type[BaseModel]:
        plain = {name: field for name, field in fields.items() if _filter_type(field) is None}
        definitions = _definitions(plain)
        for flat, (name, operator) in self._filters.items():
            operand = _operators(fields[name])[operator]
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


def _filter_type(field: FieldInfo) -> type[Filter[Any]] | None:
    for candidate in (field.annotation, *get_args(field.annotation)):
        origin = get_origin(candidate) or candidate
        if isinstance(origin, type) and issubclass(origin, Filter):
            filter_type: type[Filter[Any]] = candidate
            return filter_type
    return None


def _operators(field: FieldInfo) -> dict[str, FieldInfo]:
    """The operators of a filter field by their names in a URL; none for other fields."""
    filter_type = _filter_type(field)
    operands = filter_type.model_fields if filter_type else {}
    return {operand.alias or name: operand for name, operand in operands.items()}


def _filters(fields: dict[str, FieldInfo]) -> dict[str, tuple[str, str]]:
    """Each flat query name with the filter and operator it stands for."""
    flat: dict[str, tuple[str, str]] = {}
    for name, field in fields.items():
        for operator in _operators(field):
            flat[name if operator == "eq" else f"{name}__{operator}"] = (name, operator)
    return flat
