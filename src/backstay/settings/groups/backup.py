"""The settings of backups: where they are kept, how often, and with which key."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from backstay.settings.age import identity_fault
from backstay.settings.errors import SettingError
from backstay.settings.fields import (
    YEAR,
    Count,
    Setting,
    SettingsGroup,
    SomeSeconds,
    rooted,
    web_address,
)
from backstay.settings.groups.db import POSTGRESQL, DatabaseUrl, normalised

SHORTEST_INTERVAL = 60


class BackupSettings(SettingsGroup, title="Backups"):
    """Backups of the database: see `docs/guides/backups.md`."""

    env_prefix: ClassVar = "BACKUP_"

    dir: Annotated[str, Setting(also="DB_BACKUP_DIR", kind="folder, or s3://bucket/prefix")] = (
        Field(
            "./.backups",
            description="Folder, or storage that speaks S3 (`s3://bucket/prefix`, extra "
            "`backups`), in which backups are kept.",
        )
    )
    interval: Annotated[
        SomeSeconds, Setting(also="DB_BACKUP_INTERVAL", at_most=YEAR, in_local=0)
    ] = Field(
        86_400,
        description="Seconds after which a worker makes the next backup, one in the whole "
        "cluster; 0 makes none.",
    )
    keep: Annotated[Count, Setting(also="DB_BACKUP_KEEP", at_most=10_000)] = Field(
        7,
        description="Backups that are kept; the latest proven one is kept in any case.",
    )
    key: SecretStr | None = Field(
        None,
        description="Key of age (`AGE-SECRET-KEY-1…`) to which backups are encrypted; without it "
        "they are not. Keep it apart from them: without it they are lost.",
    )
    db_url: Annotated[DatabaseUrl | None, Setting(kind="database URL")] = Field(
        None,
        description="Address of the same PostgreSQL database for backups alone: past PgBouncer, "
        "or as a role that may create databases.",
    )
    pg_bin: Annotated[str | None, Setting(kind="folder", path=True)] = Field(
        None,
        description="Folder with `pg_dump` and `pg_restore`; otherwise they are looked for in "
        "`PATH` and where Debian and others install them.",
    )
    s3_endpoint: Annotated[str | None, Setting(also="AWS_ENDPOINT_URL", kind="web address")] = (
        Field(None, description="Address of the storage, if it is not that of AWS.")
    )
    s3_region: Annotated[str | None, Setting(also="AWS_REGION")] = Field(
        None, description="Region of the storage."
    )
    s3_access_key_id: Annotated[str | None, Setting(also="AWS_ACCESS_KEY_ID")] = Field(
        None, description="Id of the key of the storage."
    )
    s3_secret_access_key: Annotated[SecretStr | None, Setting(also="AWS_SECRET_ACCESS_KEY")] = (
        Field(None, description="Key of the storage.")
    )

    @field_validator("dir")
    @classmethod
    def _rooted(cls, value: str, info: ValidationInfo) -> str:
        scheme, is_url, rest = value.partition("://")
        if not is_url:
            return str(rooted(value, info.context))
        if scheme not in {"s3", "file"} or not rest.strip("/"):
            raise SettingError(
                "is no place for backups", "Name a folder, or s3://bucket/prefix, without keys."
            )
        return value

    @field_validator("interval")
    @classmethod
    def _not_too_short(cls, value: int) -> int:
        if 0 < value < SHORTEST_INTERVAL:
            raise SettingError(
                f"is below {SHORTEST_INTERVAL}", f"Set it to {SHORTEST_INTERVAL} or more, or to 0."
            )
        return value

    @field_validator("key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and (wrong := identity_fault(value.get_secret_value().strip())):
            raise SettingError(wrong, "Create one with: backstay generate-secrets")
        return value

    @field_validator("db_url")
    @classmethod
    def _is_postgres(cls, value: DatabaseUrl | None, info: ValidationInfo) -> DatabaseUrl | None:
        if value is None:
            return None
        root = info.context if isinstance(info.context, Path) else None
        url = normalised(value.get_secret_value(), root)
        if url.drivername != POSTGRESQL:
            raise SettingError("is not PostgreSQL", "Leave it out for SQLite.")
        return DatabaseUrl.of(url)

    @field_validator("s3_endpoint")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        return value and web_address(value)
