"""Defines the base class of groups of settings and the marker of their fields."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import core_schema

from backstay.settings.errors import SettingError


@dataclass(frozen=True)
class Setting:
    """Adds to a field what its type, default and description do not say.

    If several marks of one field set the same attribute, the outermost one counts.
    """

    kind: str | None = None
    """The type in words."""
    also: str | None = None
    """Another variable that is read if the setting's own one is not set."""
    default: str | None = None
    """The default in words, if it is derived from other settings."""
    in_local: object = None
    """The default if ENVIRONMENT is `local`."""
    parts: tuple[str, ...] | None = None
    """The fields from which the value is built if it is not set itself."""
    may_be_empty: bool | None = None
    """Whether an empty value counts as a value; for other settings it counts as not set."""
    at_most: int | None = None
    """The largest value of a number: an absurd duration would only fail later."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema, most = handler(source), self.at_most
        if most is None:
            return schema

        def check(value: float) -> float:
            if value > most:
                raise SettingError(f"is above {most}", f"Set it to {most} at most.")
            return value

        return core_schema.no_info_after_validator_function(check, schema)


class Group(BaseModel):
    """A group of settings, whose variables share a prefix."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    env_prefix: ClassVar[str] = ""
