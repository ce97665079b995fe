"""Describes a setting as users see it: its variable, other names, type and default in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from backstay.settings.fields import Setting, SettingsGroup, entries_of, object_of, shown

_LISTS = (list, tuple, set, frozenset)
_SECRETS = (SecretStr, SecretBytes, Secret)
_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "number",
    date: "date, such as 2030-12-31",
    datetime: "date and time, such as 2030-12-31T23:59:59Z",
    time: "time of day, such as 23:59",
    timedelta: "duration, such as PT30M",
    UUID: "UUID",
}


@dataclass(frozen=True, eq=False)
class Variable:
    """One field of one group."""

    group: type[SettingsGroup]
    field: str
    info: FieldInfo

    @cached_property
    def name(self) -> str:
        """The setting's own name."""
        return f"{self.group.env_prefix}{self.field.rstrip('_').upper()}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every variable that can set the value, that of the highest precedence first."""
        names = (self.name, self.setting.also) if self.setting.also else (self.name,)
        return tuple(f"{name}{end}" for name in names for end in ("", "_FILE")[: 1 + self.secret])

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The variables from which the value is built if it is not set itself."""
        return tuple(f"{self.group.env_prefix}{part.upper()}" for part in self.setting.parts or ())

    @cached_property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return _is_secret(self.info.annotation)

    @cached_property
    def path(self) -> bool:
        """Whether the value is a path, which starts at the project's root if it is relative."""
        kind = _bare(self.info.annotation)
        is_path = isinstance(kind, type) and issubclass(kind, Path)
        return is_path if self.setting.path is None else self.setting.path

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty text counts as a value, and not as not set."""
        said = self.setting.may_be_empty
        return self._is_list if said is None else said

    @cached_property
    def setting(self) -> Setting:
        """The marks of the field, merged."""
        together = Setting()
        for mark in _metadata(self.info):
            if isinstance(mark, Setting):
                said = {name: value for name, value in vars(mark).items() if value is not None}
                together = replace(together, **said)
        return together

    @property
    def kind(self) -> str:
        """The type of the value, in words."""
        kind = self.setting.kind or self._kind()
        most = self.setting.at_most
        return f"{kind}, at most {most}" if most else kind

    def _kind(self) -> str:
        annotation = _bare(self.info.annotation)
        is_enum = isinstance(annotation, type) and issubclass(annotation, Enum)
        if is_enum or get_origin(annotation) is Literal:
            members = [each.value for each in annotation] if is_enum else get_args(annotation)
            *others, last = map(shown, members)
            return f"{', '.join(others)} or {last}" if others else last
        if self._is_list:
            return "list (JSON or commas)"
        if self._is_object:
            return "JSON object"
        return _WORDS.get(annotation, "path" if self.path else "text")

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.info.is_required()

    @property
    def default_value(self) -> Any:
        """The default; None if there is none, or if it is made from other settings."""
        if self.required or self.info.default_factory_takes_validated_data:
            return None
        return self.info.get_default(call_default_factory=True)

    def default(self, *, local: bool) -> str:
        """The default, written as in a setting."""
        if self.setting.default:
            return self.setting.default
        in_local = self.setting.in_local if local else None
        return shown(self.default_value if in_local is None else in_local)

    @property
    def about(self) -> str:
        """The description, on one line."""
        return " ".join((self.info.description or "").split())

    def read(self, text: str) -> object:
        """What the model gets: the text, or its entries if the type is a list or an object.

        Types and validators that read texts themselves get the text.

        Raises:
            SettingError: the text is not a list, or not an object.
        """
        if (self._is_list or self._is_object) and not self._reads_text:
            return entries_of(text) if self._is_list else object_of(text)
        return text

    @cached_property
    def _is_list(self) -> bool:
        annotation = _bare(self.info.annotation)
        return (get_origin(annotation) or annotation) in _LISTS

    @cached_property
    def _is_object(self) -> bool:
        annotation = _bare(self.info.annotation)
        kind = get_origin(annotation) or annotation
        return isinstance(kind, type) and issubclass(kind, dict | BaseModel)

    @property
    def _reads_text(self) -> bool:
        """Whether a validator runs before the type's own, or instead of it."""
        if any(
            hasattr(mark, "__get_pydantic_core_schema__")
            and not isinstance(mark, AfterValidator | Setting)
            for mark in _metadata(self.info)
        ):
            return True
        validators = self.group.__pydantic_decorators__.field_validators.values()
        return any(
            each.info.mode != "after" and not {self.field, "*"}.isdisjoint(each.info.fields)
            for each in validators
        )


def variables_of(group: type[SettingsGroup]) -> tuple[Variable, ...]:
    """The variables of a group."""
    return tuple(Variable(group, field, info) for field, info in group.model_fields.items())


def _metadata(info: FieldInfo) -> Iterator[object]:
    for part in get_args(info.annotation):
        yield from getattr(part, "__metadata__", ())
    yield from info.metadata


def _bare(annotation: Any) -> Any:
    """A type without its marks, and without None."""
    while True:
        origin = get_origin(annotation)
        parts = [each for each in get_args(annotation) if each is not NoneType]
        if origin is Annotated or (origin in {Union, UnionType} and len(parts) == 1):
            annotation = parts[0]
        else:
            return annotation


def _is_secret(annotation: object) -> bool:
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, _SECRETS):
        return True
    return any(_is_secret(part) for part in get_args(annotation))
