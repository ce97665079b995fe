"""The checks of secrets: whether they can be guessed, and who else can read their files."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.settings.files import FOLDER

_SHORT = 16
"""Characters below which a password between machines is short: people need not remember it."""
_WITH_SECRETS = (
    *("ADMIN_PASSWORD", "APP_METRICS_TOKEN", "BACKUP_", "DB_", "MAIL_", "QUEUE_URL", "REDIS_"),
    *("SECURITY_", "SENTRY_DSN", "OTEL_EXPORTER_OTLP_HEADERS"),
)
"""How variables begin that, with `_FILE` at their end, name the file of a secret."""


@check("secrets.strength", "SECURITY_", "DB_", "REDIS_", "APP_", "MAIL_", "ADMIN_")
def strength(subject: Subject) -> Iterator[Finding]:
    """What the rules for keys leave: passwords of services, and the token of `/metrics`."""
    found = [] if subject.is_local else list(_weak(subject))
    yield from found or [ok("none that is known to be weak")]


def _weak(subject: Subject) -> Iterator[Finding]:
    settings, db = subject.settings, subject.settings.db.url.parsed
    generated = "Set it to a long random text."
    if not settings.db.is_sqlite and db.host:
        password = str(db.password or "")
        if password and (len(password) < _SHORT or password in {db.username, db.database}):
            yield warning("The password of the database can be guessed.", generated)
    address = settings.redis.address
    if address is not None and not address.password:
        told = f"Redis at {address.host} is used without a password."
        yield note(told, "Set one (requirepass, or an ACL), unless nobody else reaches it.")
    elif address is not None and len(address.password or "") < _SHORT:
        yield warning("The password of Redis can be guessed.", generated)
    token = settings.app.metrics_token
    if token is not None and len(token.get_secret_value()) < _SHORT:
        yield warning("APP_METRICS_TOKEN can be guessed.", generated)
    if settings.admin.password is not None and subject.backstay is not None:
        told = "ADMIN_PASSWORD is still set, which only the first start needs."
        yield note(told, "Remove it once the administrator exists.")


@check("secrets.files")
def files(subject: Subject) -> Iterator[Finding]:
    """Who else can read the files with secrets, or write them."""
    local = subject.loaded is not None and subject.is_local
    found = [
        each for path in _files(subject) if (each := file_finding(path, local=local)) is not None
    ]
    yield from found or [ok("read by their owner alone")]


def file_finding(path: Path, *, local: bool = False) -> Finding | None:
    """What is wrong with the mode of a file with secrets; ``local`` is a developer's machine."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if stat.S_ISFIFO(mode) or not mode & 0o077:
        return None
    mend = f"Run: chmod {'700' if stat.S_ISDIR(mode) else '600'} {path}"
    if mode & 0o022:
        return error(f"Others can write {path}, and so choose its secrets.", mend)
    told = f"Others on this machine can read {path}."
    return note(told, mend) if local else warning(told, mend)


def _files(subject: Subject) -> Iterator[Path]:
    root = subject.root or Path.cwd()
    yield root / ".env"
    if (root / FOLDER).is_dir():
        yield from (each for each in (root / FOLDER).iterdir() if each.name != ".gitignore")
    for name, value in os.environ.items():
        # files of an orchestrator belong to it: their modes are its business
        if name.endswith("_FILE") and name.startswith(_WITH_SECRETS):
            path = Path(value)
            if not path.is_relative_to("/run/secrets"):
                yield path
    knows_database = subject.loaded is not None and not subject.reads_faulty(("DB_",))
    if knows_database and subject.options.file is not None:
        yield subject.options.file
