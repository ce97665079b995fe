"""What a group of settings is declared with: its base class, and the one marker of its fields."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import core_schema

from backstay.settings.errors import SettingError


@dataclass(frozen=True)
class Setting:
    """Marks a field with what its type, default and description do not say.

    Where several marks of one field say the same thing, the outermost counts.
    """

    kind: str | None = None
    """The type in words."""
    also: str | None = None
    """Another variable that is understood when the setting's own name is not set."""
    default: str | None = None
    """The default in words, where it is worked out from other settings."""
    in_local: object = None
    """The default while ENVIRONMENT is `local`."""
    parts: tuple[str, ...] | None = None
    """The fields it is built from when it is not given itself."""
    may_be_empty: bool | None = None
    """An empty value is a value; for every other setting it means the same as no value."""
    at_most: int | None = None
    """The largest value of a number; what lasts longer than it makes sense to fails later."""

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
    """Settings whose variables begin alike."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    env_prefix: ClassVar[str] = ""
