"""The rules for settings that depend on other settings. Docstrings say why each exists."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from backstay.settings.errors import SettingError
from backstay.settings.groups import Settings
from backstay.settings.groups.db import FEWEST, FEWEST_BEHIND_PGBOUNCER
from backstay.settings.groups.keys import decode_key, key_error, private_key, public_key, weakness
from backstay.settings.groups.telemetry import missing_extras

Check = Callable[[Settings], Iterator[SettingError]]

SECRET = "SECURITY_SECRET_KEY"  # noqa: S105
REFRESH = "SECURITY_REFRESH_TOKEN_SECRET"
PREVIOUS = "SECURITY_PREVIOUS_KEYS"
PUBLIC = "SECURITY_PUBLIC_KEY"
ALGORITHM = "SECURITY_ALGORITHM"

_NEW_SECRET = "Set it to a random text, as printed by: backstay generate-secrets"  # noqa: S105
_NEW_KEY = {
    "HS256": _NEW_SECRET,
    "RS256": "Create one with: backstay generate-secrets --algorithm RS256",
    "Ed25519": "Create one with: backstay generate-secrets --algorithm Ed25519",
    "EdDSA": "Create one with: backstay generate-secrets --algorithm EdDSA",
}


class _Applies(Enum):
    """In which environments breaking a rule refuses the configuration."""

    ALWAYS = auto()
    OUTSIDE_LOCAL = auto()
    WARNS_IN_LOCAL = auto()


@dataclass(frozen=True)
class _Rule:
    """A check, where it applies, and the variables that it reads; skipped if one is faulty."""

    applies: _Applies
    reads: frozenset[str]
    check: Check


_RULES: list[_Rule] = []


def _rule(applies: _Applies, *reads: str) -> Callable[[Check], Check]:
    needed = frozenset(reads if applies is _Applies.ALWAYS else (*reads, "ENVIRONMENT"))

    def register(check: Check) -> Check:
        _RULES.append(_Rule(applies, needed, check))
        return check

    return register


@_rule(_Applies.OUTSIDE_LOCAL, "APP_DEBUG")
def debug_is_off(settings: Settings) -> Iterator[SettingError]:
    """Otherwise errors would show internals to strangers."""
    if settings.app.debug:
        yield SettingError(
            "is on, which shows internals to strangers", "Set it to false.", "APP_DEBUG"
        )


@_rule(_Applies.OUTSIDE_LOCAL, "SERVER_TRUSTED_PROXIES")
def not_everyone_is_a_proxy(settings: Settings) -> Iterator[SettingError]:
    """Otherwise any client could claim any address, and so evade every limit."""
    trusted = settings.server.trusted_proxies
    v4 = collapse_addresses([each for each in trusted if isinstance(each, IPv4Network)])
    v6 = collapse_addresses([each for each in trusted if isinstance(each, IPv6Network)])
    if 0 in {network.prefixlen for networks in (v4, v6) for network in networks}:
        yield SettingError(
            "trusts every address, so that any caller can pretend to be another",
            "List the networks of your own proxies, such as 10.0.0.0/8.",
            "SERVER_TRUSTED_PROXIES",
        )


@_rule(_Applies.OUTSIDE_LOCAL, "DB_URL", "DB_DRIVER", "SERVER_WORKERS")
def one_worker_on_sqlite(settings: Settings) -> Iterator[SettingError]:
    """Several processes would wait for each other's writes."""
    if settings.db.is_sqlite and settings.server.workers != 1:
        yield SettingError(
            "asks for more than one process, while the database is SQLite",
            "Set it to 1, or set DB_URL to a PostgreSQL database.",
            "SERVER_WORKERS",
        )


@_rule(_Applies.ALWAYS, "DB_URL", "DB_DRIVER", "DB_MAX_CONNECTIONS", "DB_PGBOUNCER")
def there_are_connections_enough(settings: Settings) -> Iterator[SettingError]:
    """With fewer, a command that reads outside its transaction would wait for itself."""
    db = settings.db
    fewest = FEWEST_BEHIND_PGBOUNCER if db.pgbouncer else FEWEST
    if not db.is_sqlite and db.max_connections < fewest:
        listening = "" if db.pgbouncer else "one to hear of changes and jobs, "
        yield SettingError(
            f"is below {fewest}, and a process on PostgreSQL needs one connection to read, "
            f"one to write, {listening}one for probes",
            f"Set it to {fewest} or more.",
            "DB_MAX_CONNECTIONS",
        )


_SHARED = ("RATE_LIMIT_ENABLED", "REDIS_URL", "REDIS_CACHE_URL", "REDIS_RATE_LIMIT_URL")


@_rule(_Applies.OUTSIDE_LOCAL, "SERVER_WORKERS", *_SHARED)
def several_workers_share_redis(settings: Settings) -> Iterator[SettingError]:
    """Otherwise each process would count only its own requests and cache only its own answers."""
    redis, hint = settings.redis, "Set REDIS_URL to a Redis server, or SERVER_WORKERS to 1."
    if settings.server.workers == 1:
        return
    if settings.rate_limit.enabled and redis.rate_limit_address is None:
        name = "REDIS_RATE_LIMIT_URL" if redis.address else "REDIS_URL"
        yield SettingError("keeps rate limits in process, while there are several", hint, name)
    elif redis.cache_address is None:
        name = "REDIS_CACHE_URL" if redis.address else "REDIS_URL"
        yield SettingError("keeps the cache in process, while there are several", hint, name)


@_rule(_Applies.OUTSIDE_LOCAL, "DB_FALLBACK_TO_SQLITE")
def no_fallback_to_sqlite(settings: Settings) -> Iterator[SettingError]:
    """Otherwise data could be written, unnoticed, to a file that is lost."""
    if settings.db.fallback_to_sqlite:
        yield SettingError(
            "is on, which would write data to a file that nobody keeps",
            "Set it to false.",
            "DB_FALLBACK_TO_SQLITE",
        )


@_rule(_Applies.ALWAYS, "MAIL_BACKEND", "MAIL_HOST")
def smtp_has_a_host(settings: Settings) -> Iterator[SettingError]:
    """Without a host no mail can be sent."""
    if settings.mail.chosen == "smtp" and not settings.mail.host:
        yield SettingError(
            "is missing, while MAIL_BACKEND is smtp",
            "Set it to the name of your mail server.",
            "MAIL_HOST",
        )


@_rule(_Applies.OUTSIDE_LOCAL, "MAIL_BACKEND")
def mail_is_not_printed(settings: Settings) -> Iterator[SettingError]:
    """Otherwise everyone who reads the log could reset any password."""
    if settings.mail.backend == "console":
        yield SettingError(
            "is console, which would write links that reset passwords to the log",
            "Set it to smtp, and MAIL_HOST to your mail server.",
            "MAIL_BACKEND",
        )


@_rule(_Applies.WARNS_IN_LOCAL, "MAIL_TLS", "MAIL_PASSWORD")
def mail_password_is_encrypted(settings: Settings) -> Iterator[SettingError]:
    """Otherwise everyone on the network path could read the password."""
    if settings.mail.tls == "none" and settings.mail.password:
        yield SettingError(
            "is none, which would send MAIL_PASSWORD readable by everybody on the way",
            "Set it to starttls or tls.",
            "MAIL_TLS",
        )


@_rule(_Applies.ALWAYS)
def extras_are_installed(settings: Settings) -> Iterator[SettingError]:
    """Otherwise traces and reports would be missed only when they are needed."""
    yield from missing_extras(settings.otel, settings.sentry)


@_rule(_Applies.ALWAYS, "ENVIRONMENT", ALGORITHM, SECRET)
def secret_key_is_given(settings: Settings) -> Iterator[SettingError]:
    """Without this key no token can be signed."""
    if not settings.security.secret_key.get_secret_value():
        yield SettingError("is missing", _NEW_KEY[settings.security.algorithm], SECRET)


@_rule(_Applies.ALWAYS, "ENVIRONMENT", REFRESH)
def refresh_secret_is_given(settings: Settings) -> Iterator[SettingError]:
    """Without this secret no refresh token can be stored."""
    if not settings.security.refresh_token_secret.get_secret_value():
        yield SettingError("is missing", _NEW_SECRET, REFRESH)


@_rule(_Applies.ALWAYS, ALGORITHM, SECRET)
def secret_key_fits(settings: Settings) -> Iterator[SettingError]:
    """A key of another kind would fail at the first login, or make a public text the secret."""
    algorithm = settings.security.algorithm
    value = settings.security.secret_key.get_secret_value()
    if value and (reason := key_error(value, algorithm, signs=True)):
        yield SettingError(reason, _NEW_KEY[algorithm], SECRET)


@_rule(_Applies.ALWAYS, REFRESH)
def refresh_secret_fits(settings: Settings) -> Iterator[SettingError]:
    """It is the key of an HMAC, so it must fit HS256 whatever the algorithm of access tokens."""
    value = settings.security.refresh_token_secret.get_secret_value()
    if reason := key_error(value, "HS256", signs=True):
        yield SettingError(reason, _NEW_SECRET, REFRESH)


@_rule(_Applies.ALWAYS, ALGORITHM, PREVIOUS)
def previous_keys_fit(settings: Settings) -> Iterator[SettingError]:
    """A previous key of another algorithm cannot verify any token."""
    algorithm = settings.security.algorithm
    for number, key in enumerate(settings.security.previous_keys, 1):
        if reason := key_error(key.get_secret_value(), algorithm, signs=False):
            yield SettingError(
                f"has a key, number {number}, that {reason}",
                f"Remove it, or give the key that was used with {algorithm}.",
                PREVIOUS,
            )


@_rule(_Applies.ALWAYS, ALGORITHM, SECRET, PUBLIC)
def public_key_matches(settings: Settings) -> Iterator[SettingError]:
    """Otherwise tokens would be signed with one key and verified with another."""
    security = settings.security
    if security.public_key is None or security.algorithm == "HS256":
        return
    hint = "Remove it: it is worked out from SECURITY_SECRET_KEY."
    try:
        public = public_key(security.public_key.get_secret_value(), security.algorithm)
    except ValueError as error:
        yield SettingError(str(error), hint, PUBLIC)
        return
    private = security.secret_key.get_secret_value()
    if key_error(private, security.algorithm, signs=True):
        return
    if private_key(private, security.algorithm).public_key() != public:
        yield SettingError("does not belong to SECURITY_SECRET_KEY", hint, PUBLIC)


@_rule(_Applies.WARNS_IN_LOCAL, ALGORITHM, SECRET)
def secret_key_is_strong(settings: Settings) -> Iterator[SettingError]:
    """An attacker who guesses the key can sign in as any user."""
    algorithm = settings.security.algorithm
    if reason := _weak(settings.security.secret_key.get_secret_value(), algorithm):
        yield SettingError(reason, _NEW_KEY[algorithm], SECRET)


@_rule(_Applies.WARNS_IN_LOCAL, ALGORITHM, PREVIOUS)
def previous_keys_are_strong(settings: Settings) -> Iterator[SettingError]:
    """An attacker who guesses a previous key can use it like the current one."""
    for number, key in enumerate(settings.security.previous_keys, 1):
        if reason := _weak(key.get_secret_value(), settings.security.algorithm):
            yield SettingError(f"has a key, number {number}, that {reason}", "Remove it.", PREVIOUS)


@_rule(_Applies.WARNS_IN_LOCAL, REFRESH)
def refresh_secret_is_strong(settings: Settings) -> Iterator[SettingError]:
    """An attacker who guesses the secret can make refresh tokens from a leaked table."""
    if reason := _weak(settings.security.refresh_token_secret.get_secret_value(), "HS256"):
        yield SettingError(reason, _NEW_SECRET, REFRESH)


@_rule(_Applies.WARNS_IN_LOCAL, SECRET, REFRESH)
def the_secrets_differ(settings: Settings) -> Iterator[SettingError]:
    """Otherwise a leak of one secret would be a leak of both."""
    key = settings.security.secret_key.get_secret_value()
    refresh = settings.security.refresh_token_secret.get_secret_value()
    try:
        same = key and decode_key(key) == decode_key(refresh)
    except ValueError:
        return
    if same:
        yield SettingError("is the same as SECURITY_SECRET_KEY", _NEW_SECRET, REFRESH)


def broken_rules(
    draft: Settings, faulty: Collection[str], *, local: bool
) -> tuple[list[SettingError], list[SettingError]]:
    """What breaks a rule: errors, and in ``local`` those that are only warned of.

    A rule that reads a faulty variable is skipped.
    """
    errors: list[SettingError] = []
    warnings: list[SettingError] = []
    for rule in _RULES:
        if not rule.reads.isdisjoint(faulty):
            continue
        if rule.applies is _Applies.ALWAYS or not local:
            errors += rule.check(draft)
        elif rule.applies is _Applies.WARNS_IN_LOCAL:
            warnings += rule.check(draft)
    return errors, warnings


def _weak(value: str, algorithm: str) -> str | None:
    """The weakness of a key that is given and usable; other rules report keys that are not."""
    usable = value and not key_error(value, algorithm, signs=False)
    return weakness(value, algorithm) if usable else None
