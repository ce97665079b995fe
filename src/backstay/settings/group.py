"""Lets a settings group describe itself: its variables, their other names, their defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import core_schema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from backstay.settings.faults import Refused

MarkerT = TypeVar("MarkerT")


@dataclass(frozen=True)
class Also:
    """Another variable that is understood when the setting's own name is not set."""

    name: str


@dataclass(frozen=True)
class Kind:
    """The type of a setting in words, where the Python type does not say it."""

    text: str


@dataclass(frozen=True)
class AtMost:
    """The largest value of a number; what lasts longer than it makes sense to fails later."""

    most: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float) -> float:
        if value > self.most:
            raise Refused(f"is above {self.most}", f"Set it to {self.most} at most.")
        return value


@dataclass(frozen=True)
class InLocal:
    """The default while ENVIRONMENT is `local`."""

    value: object


@dataclass(frozen=True)
class Default:
    """The default in words, where it is worked out from other settings."""

    text: str


@dataclass(frozen=True)
class BuiltFrom:
    """The fields a setting is built from when it is not given itself."""

    fields: tuple[str, ...]


@dataclass(frozen=True)
class MayBeEmpty:
    """An empty value is a value; for every other setting it means the same as no value."""


@dataclass(frozen=True)
class Found:
    """A value as text, and where it came from."""

    value: str
    origin: str


@dataclass(frozen=True)
class Variable:
    """One setting as its user sees it: an environment variable."""

    name: str
    field: str
    info: FieldInfo

    def marker(self, kind: type[MarkerT]) -> MarkerT | None:
        """Return the outermost marker of that kind, if the field carries one."""
        marks = [mark for mark in _metadata(self.info) if isinstance(mark, kind)]
        return marks[-1] if marks else None

    @cached_property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        return _is_secret(self.info.annotation)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every variable that can give the value, the strongest first."""
        also = self.marker(Also)
        names = (self.name, also.name) if also else (self.name,)
        return tuple(each for name in names for each in (name, *self._file(name)))

    def _file(self, name: str) -> tuple[str, ...]:
        return (f"{name}_FILE",) if self.secret else ()


class Group(BaseSettings):
    """The settings of one prefix; built directly, it takes arguments only."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to `NamedSource`."""
        return (init_settings,)


class NamedSource(PydanticBaseSettingsSource):
    """Gives a group the values that were found under its variables' names."""

    def __init__(self, group: type[Group], found: Mapping[str, Found], *, local: bool) -> None:
        super().__init__(group)
        self._variables = {variable.field: variable for variable in variables_of(group)}
        self._found = found
        self._local = local

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one field (None when nothing gives one), its key, and False."""
        variable = self._variables[field_name]
        if found := self._found.get(variable.name):
            return found.value, field_name, False
        in_local = variable.marker(InLocal) if self._local else None
        return in_local.value if in_local else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the fields that something gives a value to."""
        fields = self.settings_cls.model_fields
        values = {name: self.get_field_value(info, name)[0] for name, info in fields.items()}
        return {name: value for name, value in values.items() if value is not None}


@cache
def variables_of(group: type[Group]) -> tuple[Variable, ...]:
    """Return the variables of a group in the order of its fields."""
    prefix = prefix_of(group)
    return tuple(
        Variable(f"{prefix}{field.rstrip('_').upper()}", field, info)
        for field, info in group.model_fields.items()
    )


def prefix_of(group: type[Group]) -> str:
    """Return what every variable of the group begins with."""
    return group.model_config.get("env_prefix", "")


def _metadata(info: FieldInfo) -> Iterator[object]:
    for part in get_args(info.annotation):
        yield from getattr(part, "__metadata__", ())
    yield from info.metadata


def _is_secret(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return True
    return any(_is_secret(part) for part in get_args(annotation))
