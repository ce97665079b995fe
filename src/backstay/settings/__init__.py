"""Settings: read once from the environment, checked as a whole, then frozen."""

from backstay.settings.errors import ConfigurationError, SettingError
from backstay.settings.fields import Setting, SettingsGroup, parse_rate
from backstay.settings.groups import Settings
from backstay.settings.groups.app import AppSettings, Environment, GeneralSettings, LogSettings
from backstay.settings.groups.backup import BackupSettings
from backstay.settings.groups.db import DEFAULT_URL, DatabaseUrl, DbSettings
from backstay.settings.groups.keys import decode_key
from backstay.settings.groups.mail import MailSettings
from backstay.settings.groups.redis import QueueSettings, RedisAddress, RedisSettings
from backstay.settings.groups.security import NO_ADMIN, AdminSettings, SecuritySettings
from backstay.settings.groups.server import RateLimitSettings, ServerSettings
from backstay.settings.reader import Loaded, load_settings, read_settings
from backstay.settings.reference import example_env, reference_markdown
from backstay.settings.report import SettingEntry, SettingsReport

__all__ = [
    "DEFAULT_URL",
    "NO_ADMIN",
    "AdminSettings",
    "AppSettings",
    "BackupSettings",
    "ConfigurationError",
    "DatabaseUrl",
    "DbSettings",
    "Environment",
    "GeneralSettings",
    "Loaded",
    "LogSettings",
    "MailSettings",
    "QueueSettings",
    "RateLimitSettings",
    "RedisAddress",
    "RedisSettings",
    "SecuritySettings",
    "ServerSettings",
    "Setting",
    "SettingEntry",
    "SettingError",
    "Settings",
    "SettingsGroup",
    "SettingsReport",
    "decode_key",
    "example_env",
    "load_settings",
    "parse_rate",
    "read_settings",
    "reference_markdown",
]
