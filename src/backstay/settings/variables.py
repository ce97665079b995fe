"""Describes every setting as users see it: its variable, other names, type and default in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from backstay.settings.fields import Group, Setting, shown
from backstay.settings.groups import Settings


@dataclass(frozen=True, eq=False)
class Variable:
    """One field of one group."""

    group: str
    prefix: str
    field: str
    info: FieldInfo

    @cached_property
    def name(self) -> str:
        """The setting's own name."""
        return f"{self.prefix}{self.field.rstrip('_').upper()}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every variable that can set the value, that of the highest precedence first."""
        names = (self.name, self.setting.also) if self.setting.also else (self.name,)
        return tuple(f"{name}{end}" for name in names for end in ("", "_FILE")[: 1 + self.secret])

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The variables from which the value is built if it is not set itself."""
        return tuple(f"{self.prefix}{part.upper()}" for part in self.setting.parts or ())

    @cached_property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return _is_secret(self.info.annotation)

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
        if kind := self.setting.kind:
            most = self.setting.at_most
            return f"{kind}, at most {most}" if most else kind
        annotation: Any = self.info.annotation
        if get_origin(annotation) in {Union, UnionType}:
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        if annotation is bool:
            return "true or false"
        is_enum = isinstance(annotation, type) and issubclass(annotation, Enum)
        if not is_enum and get_origin(annotation) is not Literal:
            return "text"
        *others, last = map(str, annotation if is_enum else get_args(annotation))
        return f"{', '.join(others)} or {last}"

    def default(self, *, local: bool) -> str:
        """The default, written as in a setting."""
        if self.setting.default:
            return self.setting.default
        in_local = self.setting.in_local if local else None
        return shown(self.info.default if in_local is None else in_local)


def _metadata(info: FieldInfo) -> Iterator[object]:
    for part in get_args(info.annotation):
        yield from getattr(part, "__metadata__", ())
    yield from info.metadata


def _is_secret(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return True
    return any(_is_secret(part) for part in get_args(annotation))


GROUPS: dict[str, type[Group]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Group)
}
VARIABLES = tuple(
    Variable(name, group.env_prefix, field, info)
    for name, group in GROUPS.items()
    for field, info in group.model_fields.items()
)
