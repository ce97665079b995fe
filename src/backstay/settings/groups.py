"""The small groups: general, rate limits, the first administrator, logging."""

from enum import StrEnum
from typing import Annotated, Literal
from unicodedata import normalize

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from backstay.core.names import EmailAddress
from backstay.settings.faults import Refused
from backstay.settings.group import Also, AtMost, Group, InLocal, Kind, MayBeEmpty
from backstay.settings.values import MONTH, YEAR, Count, Seconds, SomeSeconds, WholeDays


class Environment(StrEnum):
    """Where the application runs; everything but `local` is reachable by strangers."""

    LOCAL = "local"
    STAGING = "staging"
    PRODUCTION = "production"

    @classmethod
    def _missing_(cls, value: object) -> "Environment | None":
        return cls.LOCAL if value == "development" else None


class GeneralSettings(Group):
    """What every other group depends on."""

    model_config = SettingsConfigDict(title="General")

    environment: Environment = Field(
        Environment.LOCAL,
        description="Where the application runs; `development` means `local`. Outside `local` it "
        "refuses to start on anything unsafe.",
    )


class RateLimitSettings(Group):
    """The limit for callers to whom no other rule applies."""

    model_config = SettingsConfigDict(title="Rate limits", env_prefix="RATE_LIMIT_")

    enabled: bool = Field(True, description="Count requests and refuse those above the limit.")
    default: Annotated[Count, AtMost(1_000_000_000)] = Field(
        100, description="Requests allowed per period."
    )
    period: Annotated[Seconds, AtMost(YEAR)] = Field(
        60, description="Length of the period in seconds."
    )


class CacheSettings(Group):
    """What the server keeps of its answers."""

    model_config = SettingsConfigDict(title="Cache", env_prefix="CACHE_")

    ttl_seconds: Annotated[SomeSeconds, AtMost(MONTH)] = Field(
        30, description="How long an answer that may be kept is kept, unless it says; 0 keeps none."
    )


class ClientCacheSettings(Group):
    """What clients may keep of their answers."""

    model_config = SettingsConfigDict(title="Cache of clients", env_prefix="CLIENT_CACHE_")

    max_age: Annotated[SomeSeconds, AtMost(YEAR)] = Field(
        30,
        description="Seconds for which clients may keep an answer that allows it, without asking "
        "again; 0 allows none.",
    )


class AdminSettings(Group):
    """What is created when there is none: the administrator, and the tier of new users."""

    model_config = SettingsConfigDict(title="First administrator", env_prefix="ADMIN_")

    name: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        "Administrator", description="Display name."
    )
    email: Annotated[EmailAddress, Kind("e-mail address")] = Field(
        "admin@example.com", description="E-mail address to sign in with."
    )
    username: Annotated[
        str,
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
        Field(pattern=r"^[a-z0-9_.-]{3,32}$"),
        Kind("3 to 32 of a-z, 0-9, _ . -"),
    ] = Field("admin", description="User name to sign in with.")
    password: SecretStr | None = Field(
        None,
        description="Password, 8 to 128 characters. In `local` a random one is printed once when "
        "this is not set.",
    )

    tier_name: Annotated[
        str,
        Also("TIER_NAME"),
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
        Kind("1 to 64 of A-Z, a-z, 0-9, _ . -"),
    ] = Field("free", description="Tier that every new user receives.")

    @field_validator("password")
    @classmethod
    def _of_decent_length(cls, password: SecretStr | None) -> SecretStr | None:
        if password and not 8 <= len(normalize("NFC", password.get_secret_value())) <= 128:
            raise Refused("is too short or too long", "Choose one of 8 to 128 characters.")
        return password


class LogSettings(Group):
    """What is logged, and how."""

    model_config = SettingsConfigDict(title="Logging", env_prefix="LOG_")

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = Field("INFO", description="The least severe level that is logged.")
    format: Annotated[Literal["console", "json"], InLocal("console")] = Field(
        "json", description="For people (`console`) or for machines (`json`)."
    )
    dir: Annotated[str, Kind("folder"), MayBeEmpty()] = Field(
        "./logs",
        description="Folder in which the server keeps `server.log` and `activity.log`, rotated at "
        "10 MiB; empty keeps none.",
    )
    activity_days: Annotated[WholeDays, AtMost(36_500)] = Field(
        365, description="Days after which rows of the audit trail are removed; 0 keeps them."
    )
