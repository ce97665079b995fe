"""The settings of the application itself: its name, its address, what it shows to whom."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from backstay.core.names import EmailAddress
from backstay.settings.faults import Refused
from backstay.settings.group import Group, InLocal, Kind, MayBeEmpty
from backstay.settings.values import Name, Origins, web_address

_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII)


def _root_path(value: str) -> str:
    if not _ROOT_PATH.fullmatch(value):
        raise Refused(
            "is not a path prefix",
            "Begin it with a slash and do not end it with one, such as /api; or leave it empty.",
        )
    return value


class AppSettings(Group):
    """Name and address of the application, and what it shows to whom."""

    model_config = SettingsConfigDict(title="Application", env_prefix="APP_")

    name: Name = Field("Backstay", description="Name of the application, in logs and mails.")
    title: str = Field("", description="Title of the API's documentation; else `APP_NAME`.")
    description: str = Field("", description="Description in the API's documentation.")
    version: Name = Field("0.1.0", description="Version of the application.")
    contact_name: str | None = Field(None, description="Whom the documentation names as contact.")
    contact_email: Annotated[EmailAddress | None, Kind("e-mail address")] = Field(
        None, description="The contact's e-mail address."
    )
    license_name: str | None = Field(None, description="License named in the documentation.")
    root_path: Annotated[str, AfterValidator(_root_path), Kind("path"), MayBeEmpty()] = Field(
        "/api", description="Path in front of every versioned route; may be empty."
    )
    public_url: Annotated[str, AfterValidator(web_address), Kind("web address")] = Field(
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
        Origins, InLocal(("http://localhost:3000", "http://localhost:5173"))
    ] = Field(
        (),
        description="Origins whose pages may call the API with credentials; `*` is refused.",
    )

    @field_validator("title")
    @classmethod
    def _title_or_name(cls, title: str, info: ValidationInfo) -> str:
        return title or info.data.get("name", "")
