"""The checks of the database: whether it answers, is current, can be written, and has room."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError

from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.core.errors import AppError
from backstay.db import migrate, sqlite
from backstay.db.checks import absence_faults, shortage
from backstay.db.faults import first_line
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.standing import State
from backstay.db.migrations.transaction import ABSENT
from backstay.jobs.tables import Schedule

REACHABLE = "database.reachable"
SCHEMA = "database.schema"
_SEE = "See that it runs, and that DB_URL is right."
_OVERLOADED = (
    "See what keeps the database from answering: backstay_db_connections, pg_stat_activity."
)
_LATE_SECONDS = 30.0
"""How far a replica may be behind; the alert BackstayReplicaLags has the same limit."""
_FULL = 0.8
"""The part of PostgreSQL's connections that may be in use."""
_OLDEST = 12
"""The oldest PostgreSQL that is supported."""
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "glusterfs", "ceph"}
"""File systems of the network, on which the locks of SQLite do not work."""

_IN_USE = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
_MOST = text("SELECT current_setting('max_connections')::int")
_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())")
_VERSION = text("SELECT current_setting('server_version_num')::int")
_IS_REPLICA = text("SELECT pg_is_in_recovery()")


@check(REACHABLE, "DB_", seconds=8, mend=_SEE)
async def reachable(subject: Subject) -> list[Finding]:
    """Whether there is one that answers."""
    try:
        state = await migrate.state(subject.options)
    except MigrationError as failure:
        cause, _, mend = str(failure).partition(". " if subject.options.is_sqlite else "\0")
        return [error(f"{cause.rstrip('.')}.", mend or _SEE)]
    if state is State.ABSENT:
        return [_told(ABSENT)]
    return [ok(subject.options.shown_url)]


@check("database.version", "DB_", after=REACHABLE, mend=_OVERLOADED)
async def version(subject: Subject) -> list[Finding]:
    """Whether it still gets fixes, and cannot damage its own files."""
    if not subject.options.is_sqlite:
        return [
            postgres_finding(int(await _number(subject, _VERSION)) // 10_000, datetime.now(UTC))
        ]
    return [sqlite_finding(sqlite.in_use())]


def sqlite_finding(found: sqlite.Sqlite) -> Finding:
    """What to say of a SQLite."""
    if not found.is_affected:
        return ok(f"SQLite {found.version_text}")
    told = (
        f"SQLite {found.version_text} can corrupt files in WAL mode; a slower mode is used instead."
    )
    return warning(told, f"{sqlite.MEND[0].upper()}{sqlite.MEND[1:]}.")


def postgres_finding(major: int, now: datetime) -> Finding:
    """What to say of a PostgreSQL: each gets fixes for five years (postgresql.org/support)."""
    if major < _OLDEST:
        told = f"PostgreSQL {major} is older than {_OLDEST}, the oldest that is supported."
        return error(told, "Upgrade PostgreSQL.")
    if now >= datetime(major + 2012, 11, 15, tzinfo=UTC):
        return warning(f"PostgreSQL {major} gets no more fixes.", "Upgrade PostgreSQL.")
    return ok(f"PostgreSQL {major}")


@check("database.file", "DB_", after=REACHABLE)
def file(subject: Subject) -> Iterator[Finding]:
    """Whether the file of SQLite is on a disk of this machine."""
    if subject.options.file is not None and Path("/proc/mounts").exists():
        yield mount_finding(subject.options.file.resolve(), Path("/proc/mounts").read_text())


def mount_finding(path: Path, mounts: str) -> Finding:
    """What to say of the file system that a file is on."""
    rows = [line.split()[1:3] for line in mounts.splitlines()]
    points = {point: kind for point, kind in rows if path.is_relative_to(point)}
    kind = points[max(points, key=len)] if points else "unknown"
    if kind in _REMOTE:
        told = f"{path} is on {kind}, over which the locks of SQLite do not work."
        return error(told, "Keep it on a disk of this machine, or use PostgreSQL.")
    return ok(f"on {kind}")


@check(SCHEMA, "DB_", after=REACHABLE, seconds=10, mend=_OVERLOADED)
async def schema(subject: Subject) -> list[Finding]:
    """Whether it is that of this version, by the histories and by the tables themselves."""
    standing = await migrate.standing(subject.options, subject.histories)
    if standing.state is State.FOREIGN and subject.application is None:
        return [note("It has migrations of the project, whose application cannot be loaded.")]
    if standing.fault:
        return [_told(standing.fault)]
    ahead = [note(standing.sentence)] if standing.sentence else []
    if subject.backstay is None:
        return ahead or [ok("current, by the revisions of its migrations")]
    problems, remarks = await migrate.examine(subject.options, subject.histories)
    mend = "Write the migration with `backstay db revision`, and run `backstay db upgrade`."
    found = [error(each, mend) for each in problems]
    faults = await absence_faults(subject.database, subject.backstay.models)
    found += [error(str(each)) for each in faults]
    return [*found, *ahead, *map(note, remarks)] or [ok("current")]


@check("database.writable", "DB_", after=SCHEMA, seconds=8, mend=_OVERLOADED)
async def writable(subject: Subject) -> list[Finding]:
    """Whether a row can be written; it is taken back."""
    row = insert(Schedule).values(name=f"doctor {uuid4()}", slot=datetime.now(UTC))
    try:
        async with subject.database.writer.connect() as connection:
            await connection.execute(row)
            await connection.rollback()
        if subject.options.file is not None:
            await subject.database.watch.require_sound()
    except (SQLAlchemyError, AppError, OSError) as failure:
        return [_unwritable(first_line(failure).rstrip("."), is_sqlite=subject.options.is_sqlite)]
    return [ok("a row was written, and taken back")]


def _unwritable(cause: str, *, is_sqlite: bool) -> Finding:
    if "database is locked" in cause:
        told = "Another program has held the lock for writing for long."
        return warning(told, "See what has the file open: a shell, a tool for backups.")
    mend = "Let the user that runs the application write its file and folder, and make room."
    if not is_sqlite:
        mend = "See that it is no standby, has room, and that DB_USER may write."
    return error(f"Nothing can be written: {cause}.", mend)


@check("database.administrator", "DB_", "ADMIN_", after=SCHEMA, mend=_OVERLOADED)
async def administrator(subject: Subject) -> list[Finding]:
    """Whether somebody can administer."""
    from backstay.features.users.queries.accounts import HasAdmin

    if subject.backstay is None:
        return []
    if await subject.backstay.system(HasAdmin()):
        return [ok("there is one")]
    mend = "Run: backstay create-admin"
    if subject.is_local or subject.settings.admin.password:
        return [note("There is no administrator yet; the first start makes one.", mend)]
    return [error("There is no administrator: no server starts.", mend)]


@check("database.connections", "DB_", "SERVER_", after=REACHABLE, mend=_OVERLOADED)
async def connections(subject: Subject) -> list[Finding]:
    """Whether PostgreSQL accepts as many as all processes may open, and has some left."""
    if subject.options.is_sqlite:
        return []
    found = []
    if told := await shortage(subject.options, subject.settings.server.worker_count):
        cause, _, mend = told.rpartition(". ")
        found.append(warning(f"{cause}.", mend))
    used, most = await _number(subject, _IN_USE), await _number(subject, _MOST)
    return [*found, connections_finding(int(used), int(most))]


def connections_finding(used: int, most: int) -> Finding:
    """What to say of so many connections in use."""
    if used > most * _FULL:
        mend = "See who holds them (pg_stat_activity), and raise max_connections or use PgBouncer."
        return warning(f"{used} of the {most} connections of PostgreSQL are in use.", mend)
    return ok(f"{used} of {most} are in use")


@check("database.replica", "DB_", after=REACHABLE, mend="See that it runs, and DB_REPLICA_URL.")
async def replica(subject: Subject) -> list[Finding]:
    """Whether it answers, is one, and is not far behind."""
    copy = subject.database.replica
    if copy is None:
        return []
    mend = "See that it runs, and that DB_REPLICA_URL is right."
    try:
        if not (await copy.reads.rows(None, _IS_REPLICA))[0][0]:
            return [error("DB_REPLICA_URL names a server that is no replica.", mend)]
        behind, seconds = await copy.lag()
    except AppError as failure:
        cause = failure.__cause__ or failure
        return [error(f"It does not answer: {first_line(cause).rstrip('.')}.", mend)]
    return [lag_finding(behind, seconds)]


def lag_finding(behind: int, seconds: float) -> Finding:
    """What to say of a replica that is so many bytes, and seconds, behind."""
    told = f"It is {behind} bytes and {seconds:.1f} s behind."
    if seconds > _LATE_SECONDS:
        return warning(told, "See its log and its load; who has just written reads elsewhere.")
    return ok(f"{behind} bytes, {seconds:.1f} s behind")


@check("database.clock", "DB_", "SECURITY_CLOCK_", after=REACHABLE, mend=_OVERLOADED)
async def clock(subject: Subject) -> list[Finding]:
    """Whether it agrees with the clock of this machine."""
    if subject.options.is_sqlite:
        return []
    before = time()
    theirs = float(await _number(subject, _CLOCK))
    ours = (before + time()) / 2
    return [clock_finding("database", theirs - ours, subject.settings.security.clock_skew_seconds)]


def clock_finding(whose: str, ahead: float, most: int) -> Finding:
    """What to say of a clock that is ``ahead`` of ours, where tokens allow for ``most`` seconds."""
    amount = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    mend = "Let both follow the same time servers (chrony, systemd-timesyncd)."
    if abs(ahead) > max(most, 1):
        told = f"The clock of the {whose} is {amount}; SECURITY_CLOCK_SKEW_SECONDS allows {most}."
        return error(told, mend)
    if abs(ahead) > max(most, 1) / 10:
        return warning(f"The clock of the {whose} is {amount}.", mend)
    return ok("the same time")


async def _number(subject: Subject, statement: Any) -> Any:
    async with subject.database.probing() as connection:
        return (await connection.execute(statement)).scalar_one()


def _told(sentence: str) -> Finding:
    """A finding of a sentence that ends with what to do."""
    cause, _, mend = sentence.partition(". " if ". " in sentence else ": ")
    return error(f"{cause}.", f"{mend[0].upper()}{mend[1:]}") if mend else error(sentence)
