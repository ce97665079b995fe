"""The groups of settings, each a frozen model, and `Settings`, which holds them."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from backstay.settings.fields import SettingsGroup
from backstay.settings.groups.app import AppSettings, Environment, GeneralSettings, LogSettings
from backstay.settings.groups.backup import BackupSettings
from backstay.settings.groups.db import DbSettings
from backstay.settings.groups.mail import MailSettings
from backstay.settings.groups.redis import QueueSettings, RedisSettings
from backstay.settings.groups.security import AdminSettings, SecuritySettings
from backstay.settings.groups.server import (
    CacheSettings,
    ClientCacheSettings,
    RateLimitSettings,
    ServerSettings,
)
from backstay.settings.groups.telemetry import OtelSettings, SentrySettings
from backstay.settings.report import SettingsReport

G = TypeVar("G", bound=SettingsGroup)


class Settings(BaseModel):
    """Every setting, read once and frozen; `load_settings` makes one."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

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
    otel: OtelSettings
    sentry: SentrySettings
    backup: BackupSettings
    added: tuple[SettingsGroup, ...] = ()
    """The groups that a project adds."""
    report: SettingsReport = Field(default=SettingsReport(), exclude=True, repr=False)
    """What `backstay config` shows of them."""

    def of(self, group: type[G]) -> G:
        """The settings of a group, such as ``settings.of(ShopSettings)``.

        Raises:
            LookupError: the group was not read.
        """
        for each in (*self.added, *vars(self).values()):
            if type(each) is group:
                return each
        wrong = f"{group.__name__} is not among the groups of settings that were read"
        raise LookupError(f"{wrong}: add it to the groups that the application names.")

    @property
    def environment(self) -> Environment:
        """Where the application runs."""
        return self.general.environment

    @property
    def is_local(self) -> bool:
        """Whether the application runs on a developer's machine."""
        return self.environment is Environment.LOCAL
