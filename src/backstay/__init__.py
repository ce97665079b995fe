"""Backstay: a FastAPI backend as a package that people upgrade instead of copying.

Everything that a project imports is in one list, here and in ``docs/api.md``. A name is loaded when
it is first used (PEP 562), so that ``import backstay`` loads nothing else. All other modules are
internal: they change without notice.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "backstay.application": ("Application", "create_app"),
    "backstay.composition": ("Backstay",),
    "backstay.core.backups": ("BackupReport", "BackupState", "Backups"),
    "backstay.core.bus": ("handles", "prepares"),
    "backstay.core.caching": ("Cached", "TagContext"),
    "backstay.core.clock": ("minutes", "new_id", "utc_now"),
    "backstay.core.console": ("AdminPage", "AdminView"),
    "backstay.core.context": ("ActivityNote", "CacheTags", "Origin", "PrincipalChanges", "Sender"),
    "backstay.core.errors": (
        "AppError",
        "BadRequest",
        "Conflict",
        "FieldError",
        "Forbidden",
        "Invalid",
        "NotFound",
        "RateLimited",
        "Refusal",
        "Unauthenticated",
        "Unavailable",
    ),
    "backstay.core.events": ("Event", "subscribes"),
    "backstay.core.feature": ("Feature", "PersonalData", "features_of"),
    "backstay.core.jobs": ("JobState", "JobStore", "Progress"),
    "backstay.core.listing": ("CursorPage", "Equals", "ListQuery", "Page", "Range", "Text"),
    "backstay.core.mail": (
        "KeptMail",
        "Mail",
        "MailNotSent",
        "MailNotWritten",
        "MailRefused",
        "Mailbox",
        "Mailer",
        "MailTemplates",
        "MailTokens",
    ),
    "backstay.core.messages": (
        "Command",
        "FromPath",
        "FromQuery",
        "Message",
        "Query",
        "View",
        "optional",
    ),
    "backstay.core.permissions": (
        "PUBLIC",
        "SIGNED_IN",
        "SYSTEM_ONLY",
        "PermissionSpec",
        "RoleSpec",
        "Scope",
    ),
    "backstay.core.ports": (
        "AccessClaims",
        "AccessTokens",
        "BreachedPasswords",
        "Cache",
        "Clock",
        "HealthChecks",
        "Load",
        "Metrics",
        "Passwords",
        "RefreshToken",
        "RefreshTokens",
    ),
    "backstay.core.principal": ("Grant", "Principal"),
    "backstay.core.rates": ("Limiter", "Rate", "RateLimitResult"),
    "backstay.core.representation": ("Preconditions",),
    "backstay.core.schedule": ("Scheduled", "cron", "every"),
    "backstay.core.streams": ("Stream",),
    "backstay.core.targets": ("AnyTarget", "By", "Target"),
    "backstay.core.uploads": ("Upload",),
    "backstay.db.base": ("Base", "Entity", "SoftDelete", "UtcDateTime"),
    "backstay.db.fixed_point": ("FixedPoint", "Money"),
    "backstay.db.folding": ("contains",),
    "backstay.db.listing": ("Listing",),
    "backstay.db.maintenance": ("MaintenanceSwitch",),
    "backstay.db.paging": ("Paginator",),
    "backstay.db.queries": ("columns_of", "count", "exists", "one_or_404", "visible"),
    "backstay.db.resource": ("Resource",),
    "backstay.db.session": ("Reader", "Transaction"),
    "backstay.db.streaming": ("stream_rows",),
    "backstay.features": ("FOUNDATION", "STANDARD"),
    "backstay.features.mail.commands.sending": ("SendMail",),
    "backstay.features.users.events": ("UserRegistered",),
    "backstay.features.users.queries.accounts": ("GetMe", "get_me"),
    "backstay.features.users.queries.directory": ("GetUser", "get_user"),
    "backstay.features.users.schemas": ("Profile", "UserDetail"),
    "backstay.jobs.outbox": ("Events", "Jobs", "Outbox"),
    "backstay.jobs.purging": ("Purge",),
    "backstay.limits.classes": ("LimitClass",),
    "backstay.security.guesses": ("Guesses",),
    "backstay.settings": (
        "AdminSettings",
        "AppSettings",
        "BackupSettings",
        "LogSettings",
        "MailSettings",
        "RateLimitSettings",
        "SecuritySettings",
        "Setting",
        "SettingEntry",
        "SettingError",
        "Settings",
        "SettingsGroup",
        "SettingsReport",
        "load_settings",
    ),
    "backstay.web.callers": (
        "CurrentPrincipal",
        "OptionalPrincipal",
        "Send",
        "SendAsAnyone",
        "limited_by",
    ),
    "backstay.web.pages": ("linked", "page"),
    "backstay.web.routes": ("Routes",),
}
"""By internal module: the names that projects import from here."""
_FROM = {name: place for place, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_FROM)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"backstay has no {name}; docs/api.md lists what it has")
    value = globals()[name] = getattr(import_module(_FROM[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
