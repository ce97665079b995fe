"""Settings: read once from the environment, checked as a whole, frozen from then on."""

from backstay.settings.app import AppSettings
from backstay.settings.db import DEFAULT_URL, DatabaseUrl, DbSettings
from backstay.settings.faults import ConfigurationError, Fault
from backstay.settings.groups import (
    AdminSettings,
    Environment,
    GeneralSettings,
    LogSettings,
    RateLimitSettings,
)
from backstay.settings.keys import decode_key
from backstay.settings.loading import Loaded, load_settings, read_settings
from backstay.settings.mail import MailSettings
from backstay.settings.model import Settings
from backstay.settings.queue import QueueSettings
from backstay.settings.redis import RedisAddress, RedisSettings
from backstay.settings.reference import example_env, reference_markdown
from backstay.settings.security import SecuritySettings
from backstay.settings.server import ServerSettings
from backstay.settings.values import parse_rate

__all__ = [
    "DEFAULT_URL",
    "AdminSettings",
    "AppSettings",
    "ConfigurationError",
    "DatabaseUrl",
    "DbSettings",
    "Environment",
    "Fault",
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
    "Settings",
    "decode_key",
    "example_env",
    "load_settings",
    "parse_rate",
    "read_settings",
    "reference_markdown",
]
