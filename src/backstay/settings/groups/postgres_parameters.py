"""Decides what happens to each parameter in a PostgreSQL URL.

libpq and other clients know parameters that asyncpg does not. A parameter that changes nothing is
dropped, one that asyncpg supports is kept, and any other is refused: a demand that is not met, such
as channel binding, must not look as if it were.
"""

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backstay.settings.errors import SettingError
from backstay.settings.fields import rooted
from backstay.settings.files import open_plain

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM = "system"
ADDRESS = ("host", "port", "user", "password", "dbname")
LONGEST_WAIT = 300
"""The longest ``connect_timeout``, in seconds."""

Check = Callable[[str, str], str]

_STRONG_TLS = "Write sslmode=verify-full and sslrootcert, which prove who the server is."
_OWN_CLIENT = "Remove it: it is meant for another client."
_POOL = "Remove it, and set DB_MAX_CONNECTIONS and DB_POOL_TIMEOUT instead."
_PGBOUNCER = "Remove it; if PgBouncer stands in front of the database, set DB_PGBOUNCER=true."
_KERBEROS = "Remove it: sign in with a password or a certificate, not with Kerberos."
_OAUTH = "Remove it: sign in with a password or a certificate, not with OAuth."
_SERVICE = "Write what that service says into the URL itself."

DROPPED: Mapping[str, tuple[Sequence[str] | None, str]] = {
    "channel_binding": (("disable", "prefer"), f"Remove it. {_STRONG_TLS}"),
    "client_encoding": (("utf8", "utf-8", "unicode", "auto"), "Remove it: it is always UTF-8."),
    "gssdelegation": (("0",), _KERBEROS),
    "gssencmode": (("disable", "prefer"), f"Remove it, and encrypt with TLS. {_STRONG_TLS}"),
    "keepalives": (None, ""),
    "keepalives_count": (None, ""),
    "keepalives_idle": (None, ""),
    "keepalives_interval": (None, ""),
    "load_balance_hosts": (("disable",), "Remove it: hosts are tried in their order."),
    "max_protocol_version": (None, ""),
    "min_protocol_version": (("3.0",), "Remove it: the driver speaks version 3.0."),
    "replication": (("false", "off", "no", "0"), "Remove it: this is no replication client."),
    "sslcertmode": (("allow",), "Remove it: sslcert says whether a certificate is shown."),
    "sslcompression": (("0",), "Remove it: TLS is never compressed."),
    "sslsni": (("1",), "Remove it: the driver always tells the server's name."),
    "tcp_user_timeout": (None, ""),
}
"""Parameters that change nothing if they have one of these values (None: any), and a hint.

With another value they are refused, and the error has the hint.
"""

REFUSED: Mapping[str, str] = {
    "connection_limit": _POOL,
    "gsslib": _KERBEROS,
    "hostaddr": "Write the address as the host.",
    "krbsrvname": _KERBEROS,
    "oauth_client_id": _OAUTH,
    "oauth_client_secret": _OAUTH,
    "oauth_issuer": _OAUTH,
    "oauth_scope": _OAUTH,
    "pgbouncer": _PGBOUNCER,
    "pool_mode": _PGBOUNCER,
    "pool_size": _POOL,
    "pool_timeout": _POOL,
    "prepared_statement_cache_size": _PGBOUNCER,
    "require_auth": f"Remove it. {_STRONG_TLS}",
    "requirepeer": "Remove it, and keep the socket in a folder that only its owner may write to.",
    "requiressl": "Write sslmode=require.",
    "schema": "Write options=-c%20search_path%3DNAME instead.",
    "scram_client_key": "Write the password instead.",
    "scram_server_key": "Write the password instead.",
    "service": _SERVICE,
    "servicefile": _SERVICE,
    "socket_timeout": "Remove it, and set DB_STATEMENT_TIMEOUT instead.",
    "sslaccept": f"Remove it. {_STRONG_TLS}",
    "sslcrldir": "Write sslcrl=FILE.",
    "sslidentity": "Write sslcert=FILE and sslkey=FILE.",
    "sslkeylogfile": "Remove it: whoever reads that file reads the connection.",
    "statement_cache_size": _PGBOUNCER,
    "statement_timeout": "Remove it, and set DB_STATEMENT_TIMEOUT instead.",
}
"""Known parameters that are not supported, with what to do instead."""


def _one_of(*allowed: str) -> Check:
    def check(name: str, value: str) -> str:
        if value not in allowed:
            raise SettingError(
                f"has another {name} than can be used", f"Write one of: {', '.join(allowed)}."
            )
        return value

    return check


def _text(name: str, value: str) -> str:
    if "\0" in value:
        raise SettingError(f"has a NUL in {name}", "Remove it.")
    return value


def _file(name: str, value: str) -> str:
    if name == "sslrootcert" and value == SYSTEM:
        return value
    try:
        open_plain(Path(value)).close()
    except OSError as error:
        raise SettingError(
            f"names a file as {name} that cannot be read: {error.strerror}",
            "Let it name a readable file; a relative path starts at the project's root.",
        ) from None
    return value


def _seconds(name: str, value: str) -> str:
    if not re.fullmatch("[0-9]{1,3}", value) or not 1 <= int(value) <= LONGEST_WAIT:
        raise SettingError(
            f"has another {name} than can be used", f"Write 1 to {LONGEST_WAIT}, for seconds."
        )
    return value


def _options(name: str, value: str) -> str:
    if re.search("statement_timeout|idle_in_transaction_session_timeout", value):
        raise SettingError(f"sets a time limit in {name}", "Set DB_STATEMENT_TIMEOUT instead.")
    return _text(name, value)


def _session(name: str, value: str) -> str:
    """Select by the server's role: ``read-write`` becomes ``primary``, ``read-only`` ``standby``.

    These two would test the session, but the application sets its mode itself, to read-only for
    queries.
    """
    value = {"read-write": "primary", "read-only": "standby"}.get(value, value)
    return _one_of("any", "primary", "standby", "prefer-standby")(name, value)


KEPT: Mapping[str, Check] = {
    "application_name": _text,
    "connect_timeout": _seconds,
    "fallback_application_name": _text,
    "options": _options,
    "passfile": _file,
    "ssl": _one_of(*MODES),
    "ssl_max_protocol_version": _one_of("TLSv1.2", "TLSv1.3"),
    "ssl_min_protocol_version": _one_of("TLSv1.2", "TLSv1.3"),
    "sslcert": _file,
    "sslcrl": _file,
    "sslkey": _file,
    "sslmode": _one_of(*MODES),
    "sslnegotiation": _one_of("postgres", "direct"),
    "sslpassword": _text,
    "sslrootcert": _file,
    "target_session_attrs": _session,
}
"""Parameters that the driver gets, with the check of their value."""

_NOT_WITH_SYSTEM = {"sslcert", "sslkey", "sslcrl", "sslpassword"} | {
    name for name in KEPT if name.endswith("_protocol_version")
}
_OTHER_NAMES = {"sslmode": "ssl", "fallback_application_name": "application_name"}


def kept(
    query: Mapping[str, str], *, has_password: bool, root: Path | None = None
) -> dict[str, str]:
    """The parameters for the driver; raises SettingError if one cannot be used.

    Relative paths start at ``root``, if there is one.

    An error never repeats a value, which may be part of a password. If one parameter is a password,
    it does not repeat an unknown name either: an unencoded ``&`` in the password would make its
    rest look like a parameter.
    """
    found: dict[str, str] = {}
    for name, value in query.items():
        if name in KEPT:
            is_path = KEPT[name] is _file and (name, value) != ("sslrootcert", SYSTEM)
            found[name] = KEPT[name](name, rooted(value, root) if is_path else value)
        elif not _is_dropped(name, value):
            raise _refusal(name, has_password=has_password)
    if "application_name" in found:
        found.pop("fallback_application_name", None)
    found = {_OTHER_NAMES.get(name, name): value for name, value in found.items()}
    _judge_tls(found)
    return found


def _is_dropped(name: str, value: str) -> bool:
    values, _ = DROPPED.get(name, ((), ""))
    return values is None or value.lower() in values


def _refusal(name: str, *, has_password: bool) -> SettingError:
    if name in DROPPED:
        return SettingError(f"has a {name} that cannot be met", DROPPED[name][1])
    if name in REFUSED:
        return SettingError(f"has the parameter {name}, which cannot be used", REFUSED[name])
    if has_password or not re.fullmatch("[A-Za-z_]{1,40}", name):
        return SettingError(
            "has an unknown parameter, or a part of its password is taken for one",
            "Remove it, or percent-encode special characters.",
        )
    return SettingError(
        f"has the unknown parameter {name}", f"Remove it. Known are: {', '.join(KEPT)}."
    )


def _judge_tls(found: dict[str, str]) -> None:
    """Refuse TLS parameters that would otherwise fail only with the first connection."""
    if found.get("sslrootcert") == SYSTEM:
        _judge_system(found)
    mode = found.get("ssl", "prefer")
    if mode.startswith("verify-") and "sslrootcert" not in found and not _has_own_authorities():
        raise SettingError(
            f"asks for {mode}, and names no authority to trust",
            "Add sslrootcert=FILE, or sslrootcert=system for the authorities of this system.",
        )
    if found.get("sslnegotiation") == "direct" and MODES.index(mode) < MODES.index("require"):
        raise SettingError(
            "asks for TLS from the first byte on, and not for TLS",
            "Write sslmode=verify-full or sslmode=require, too.",
        )
    _try_certificates(found)


def _judge_system(found: dict[str, str]) -> None:
    if found.setdefault("ssl", "verify-full") != "verify-full":
        raise SettingError(
            "trusts the authorities of this system for less than verify-full",
            "Write sslmode=verify-full.",
        )
    if mixed := sorted(_NOT_WITH_SYSTEM & found.keys()):
        raise SettingError(
            f"has {mixed[0]} beside sslrootcert=system",
            "Let sslrootcert name a file instead, or remove the other one.",
        )


def _has_own_authorities() -> bool:
    """Whether the file exists that libpq and asyncpg use if none is named."""
    try:
        return (Path.home() / ".postgresql" / "root.crt").exists()
    except (OSError, RuntimeError):
        return False


def _try_certificates(found: Mapping[str, str]) -> None:
    """Load the certificates. The error repeats no values: `sslpassword` is one of them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    name, password = "", found.get("sslpassword", "")
    try:
        for name in ("sslrootcert", "sslcrl"):
            if found.get(name, SYSTEM) != SYSTEM:
                context.load_verify_locations(cafile=found[name])
        if "sslcert" in found and "sslkey" in found:
            name = "sslcert"
            context.load_cert_chain(found["sslcert"], found["sslkey"], lambda: password)
    except (OSError, ValueError):
        raise SettingError(
            f"names a file as {name} that TLS cannot use",
            "Name files in PEM form, the key that belongs to sslcert, and its sslpassword if any.",
        ) from None
