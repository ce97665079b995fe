"""The settings of the application itself: where it runs, its name, what it shows and logs."""

import re
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from backstay.core.addresses import normal_origin
from backstay.core.names import EmailAddress
from backstay.settings.errors import SettingError
from backstay.settings.fields import Name, Origins, Setting, SettingsGroup, WholeDays, web_address

_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


def _root_path(value: str) -> str:
    if not _ROOT_PATH.fullmatch(value):
        raise SettingError(
            "is not a path prefix",
            "Begin it with a slash and do not end it with one, such as /api; or leave it empty.",
        )
    return value


class Environment(StrEnum):
    """Where the application runs; strangers may reach all but `local`."""

    LOCAL = "local"
    STAGING = "staging"
    PRODUCTION = "production"

    @classmethod
    def _missing_(cls, value: object) -> "Environment | None":
        return cls.LOCAL if value == "development" else None


class GeneralSettings(SettingsGroup, title="General"):
    """What every other group depends on."""

    environment: Environment = Field(
        Environment.LOCAL,
        description="Where the application runs; `development` means `local`. Outside `local` it "
        "refuses to start on anything unsafe.",
    )


class AppSettings(SettingsGroup, title="Application"):
    """Name and address of the application, and what it shows to whom."""

    env_prefix: ClassVar = "APP_"

    name: Name = Field("Backstay", description="Name of the application, in logs and mails.")
    title: str = Field("", description="Title of the API's documentation; else `APP_NAME`.")
    description: str = Field("", description="Description in the API's documentation.")
    version: Name = Field("0.1.0", description="Version of the application.")
    contact_name: str | None = Field(None, description="Whom the documentation names as contact.")
    contact_email: Annotated[EmailAddress | None, Setting(kind="e-mail address")] = Field(
        None, description="The contact's e-mail address."
    )
    license_name: str | None = Field(None, description="License named in the documentation.")
    root_path: Annotated[
        str, AfterValidator(_root_path), Setting(kind="path", may_be_empty=True)
    ] = Field("/api", description="Path in front of every versioned route; may be empty.")
    public_url: Annotated[str, AfterValidator(web_address), Setting(kind="web address")] = Field(
        "http://127.0.0.1:8000",
        description="Address under which users reach the application; links in mails use it. In "
        "`local` a server at another port takes its own.",
    )
    debug: bool = Field(
        False,
        description="Answer unhandled errors with their traceback; refused outside `local`.",
    )
    metrics: bool = Field(True, description="Serve `/metrics`; outside `local` only with a token.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that `/metrics` asks for."
    )
    swagger: bool = Field(True, description="Serve the API's documentation where it is allowed.")
    cors_origins: Annotated[
        Origins, Setting(in_local=("http://localhost:3000", "http://localhost:5173"))
    ] = Field(
        (),
        description="Origins whose pages may call the API with credentials; `*` is refused.",
    )

    @property
    def public_origin(self) -> str:
        """The origin of pages at ``public_url``, as browsers write it."""
        parts = urlsplit(self.public_url)
        return normal_origin(f"{parts.scheme}://{parts.netloc}")

    @field_validator("title")
    @classmethod
    def _title_or_name(cls, title: str, info: ValidationInfo) -> str:
        return title or info.data.get("name", "")


class LogSettings(SettingsGroup, title="Logging"):
    """What is logged, and how."""

    env_prefix: ClassVar = "LOG_"

    level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = Field("INFO", description="The least severe level that is logged.")
    format: Annotated[Literal["console", "json"], Setting(in_local="console")] = Field(
        "json", description="For people (`console`) or for machines (`json`)."
    )
    dir: Annotated[str, Setting(kind="folder", path=True, may_be_empty=True)] = Field(
        "./logs",
        description="Folder in which the server keeps `server.log` and `activity.log`, rotated at "
        "10 MiB; empty keeps none.",
    )
    activity_days: Annotated[WholeDays, Setting(at_most=36_500)] = Field(
        365, description="Days after which rows of the audit trail are removed; 0 keeps them."
    )
