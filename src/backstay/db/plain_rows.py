"""Writes rows as JSON without making views of them, where no view could tell anything else."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic.fields import FieldInfo
from pydantic_core import SchemaSerializer, core_schema
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    FromClause,
    Integer,
    SmallInteger,
    String,
    Text,
    Uuid,
)

from backstay.core.messages import View
from backstay.db.base import UtcDateTime
from backstay.db.keyset import may_be_null

Rows = Sequence[dict[str, Any]]
_SCHEMAS: Mapping[Any, core_schema.CoreSchema] = {
    UUID: core_schema.str_schema(),  # written by `_written`
    bool: core_schema.bool_schema(),
    date: core_schema.date_schema(),
    datetime: core_schema.datetime_schema(),
    int: core_schema.int_schema(),
    str: core_schema.str_schema(),
}
_GIVEN: Mapping[type, type] = {
    BigInteger: int,
    Boolean: bool,
    Date: date,
    Integer: int,
    SmallInteger: int,
    String: str,
    Text: str,
    UtcDateTime: datetime,
    Uuid: UUID,
}
"""By the type of a column: that of its values. Types that derive from these are left out."""


def renderer_of(
    view: type[View], shown: Mapping[str, ColumnElement[Any]], from_: FromClause
) -> Callable[[Rows], bytes] | None:
    """What writes rows of ``shown`` columns as a JSON array, byte for byte as their views do.

    None unless every field of the view is plain (a UUID, text, number, truth value, moment or day,
    or null), and its column gives just such values, so that to validate them changes nothing.
    """
    if not _is_bare(view):
        return None
    fields, ids = {}, []
    for name, field in view.model_fields.items():
        is_union = get_origin(field.annotation) in {Union, UnionType}
        kinds = get_args(field.annotation) if is_union else (field.annotation,)
        plain = [kind for kind in kinds if kind is not NoneType]
        column = shown.get(name)
        schema = _SCHEMAS.get(plain[0]) if len(plain) == 1 else None
        if schema is None or not isinstance(column, Column):
            return None
        if _GIVEN.get(type(column.type)) is not plain[0]:
            return None
        if may_be_null(column, from_) and NoneType not in kinds:
            return None
        if plain[0] is UUID:
            ids.append(name)
        fields[name] = core_schema.typed_dict_field(core_schema.nullable_schema(schema))
    rows = core_schema.list_schema(core_schema.typed_dict_schema(fields))
    return partial(_written, SchemaSerializer(rows).to_json, tuple(ids))


def _written(to_json: Callable[[Rows], bytes], ids: Sequence[str], rows: Rows) -> bytes:
    """The rows as JSON. The UUIDs of a driver write themselves three times as fast as a serializer
    does, which does not know their class."""
    for row in rows:
        for name in ids:
            value = row[name]
            if value is not None:
                row[name] = str(value)
    return to_json(rows)


def _is_bare(view: type[View]) -> bool:
    """Whether a view has nothing but fields: no validators, serializers, aliases or settings."""
    decorators = view.__pydantic_decorators__
    made_by = view.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
    return (
        {**view.model_config, "title": None} == {**View.model_config, "title": None}
        and made_by is View.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
        and not any(getattr(decorators, kind) for kind in decorators.__slots__)
        and not view.__pydantic_post_init__
        and not view.__pydantic_custom_init__
        and all(_is_plain(field) for field in view.model_fields.values())
    )


def _is_plain(field: FieldInfo) -> bool:
    told = (field.alias, field.serialization_alias, field.exclude, field.exclude_if)
    return not field.metadata and not any(told)
