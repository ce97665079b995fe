"""Holds the groups together: the settings as the rest of the code sees them."""

from pydantic import BaseModel, ConfigDict

from backstay.settings.app import AppSettings
from backstay.settings.db import DbSettings
from backstay.settings.group import Group, Variable, prefix_of, variables_of
from backstay.settings.groups import (
    AdminSettings,
    CacheSettings,
    ClientCacheSettings,
    Environment,
    GeneralSettings,
    LogSettings,
    RateLimitSettings,
)
from backstay.settings.mail import MailSettings
from backstay.settings.queue import QueueSettings
from backstay.settings.redis import RedisSettings
from backstay.settings.security import SecuritySettings
from backstay.settings.server import ServerSettings


class Settings(BaseModel):
    """Every setting, read once and frozen; `load_settings` makes one."""

    model_config = ConfigDict(frozen=True)

    general: GeneralSettings
    app: AppSettings
    server: ServerSettings
    db: DbSettings
    redis: RedisSettings
    cache: CacheSettings
    client_cache: ClientCacheSettings
    queue: QueueSettings
    rate_limit: RateLimitSettings
    security: SecuritySettings
    admin: AdminSettings
    mail: MailSettings
    log: LogSettings

    @property
    def environment(self) -> Environment:
        """Where the application runs."""
        return self.general.environment

    @property
    def is_local(self) -> bool:
        """Whether the application runs on a developer's machine."""
        return self.environment is Environment.LOCAL


GROUPS: dict[str, type[Group]] = {
    name: info.annotation
    for name, info in Settings.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Group)
}

VARIABLES: tuple[Variable, ...] = tuple(
    variable for group in GROUPS.values() for variable in variables_of(group)
)

PREFIXES: tuple[str, ...] = tuple(filter(None, map(prefix_of, GROUPS.values())))
