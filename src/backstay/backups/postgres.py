"""Backups of PostgreSQL: a dump and checksums of one snapshot; databases beside it."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import URL, make_url

from backstay.backups.manifest import RECORD, REVISIONS, Table
from backstay.backups.manifest import Source as Database
from backstay.backups.pipes import Source, Stop, Told
from backstay.backups.postgres_programs import Programs, last_words, service
from backstay.core.backups import BackupError
from backstay.db.options import postgres_arguments

if TYPE_CHECKING:
    import asyncpg

_CONNECT_SECONDS = 10.0
_APPLICATION = "backstay backup"
_TEXT_FORMS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "row_security": "off",
}
"""Settings of a session in which equal rows have equal texts, on every server."""
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%'
   AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                   AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2
"""
_SUM = """
SELECT count(*) AS rows, coalesce(sum(('x' || left(encode(sha256(convert_to(t::text, 'UTF8')),
       'hex'), 16))::bit(64)::bigint::numeric), 0)::text AS total FROM {} AS t
"""


def arguments(url: str, database: str | None = None) -> dict[str, Any]:
    """What `asyncpg.connect` takes for an address, or for another database of that server."""
    place = make_url(url)
    named = place if database is None else place.set(database=database)
    text = named.render_as_string(hide_password=False)
    return postgres_arguments(text, _APPLICATION, _CONNECT_SECONDS)


@asynccontextmanager
async def connected(url: str, database: str | None = None) -> "AsyncIterator[asyncpg.Connection]":
    """A connection to an address, or to another database of that server.

    Raises:
        BackupError: there is none, or a statement inside the context fails.
    """
    import asyncpg

    refusals = asyncpg.PostgresError, asyncpg.InterfaceError
    try:
        connection = await asyncpg.connect(**arguments(url, database))
    except (OSError, TimeoutError, *refusals) as error:
        raise _refused(error) from error
    try:
        yield connection
    except (ConnectionError, TimeoutError, *refusals) as error:  # others are of the disk
        raise _refused(error) from error
    finally:
        with suppress(OSError, TimeoutError, *refusals):
            await connection.close(timeout=_CONNECT_SECONDS)


def _refused(error: Exception) -> BackupError:
    text = " ".join(str(error).split()) or type(error).__name__
    return BackupError(f"PostgreSQL refuses: {text.rstrip('.')}.")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment of a database, which lasts as long as its transaction."""

    id: str
    major: int
    source: Database
    connection: Any

    async def tables(self, stop: Stop, told: Told) -> dict[str, Table]:
        """Rows and checksum of every table at that moment."""
        return await tables(self.connection, stop, told)


@asynccontextmanager
async def snapshot(url: str) -> AsyncIterator[Snapshot]:
    """A snapshot that `pg_dump` can share."""
    async with connected(url) as connection:
        await _fix_text_forms(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            version = await connection.fetchval("SHOW server_version")
            number = int(await connection.fetchval("SHOW server_version_num"))
            found = await connection.fetchval("SELECT pg_export_snapshot()")
            source = Database(
                kind="postgresql",
                version=version,
                name=make_url(url).database or "",
                revisions=tuple(sorted(row[0] for row in await _rows(connection, REVISIONS))),
                record=dict(map(tuple, await _rows(connection, RECORD))),
            )
            yield Snapshot(found, number // 10_000, source, connection)


async def _fix_text_forms(connection: Any) -> None:
    for name, value in _TEXT_FORMS.items():
        await connection.execute("SELECT set_config($1, $2, false)", name, value)


async def _rows(connection: Any, statement: str) -> list[Any]:
    """The rows of a query; none if the table is not there, which must not end the snapshot."""
    table = statement.rpartition(" ")[2]
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return []
    return list(await connection.fetch(statement))


async def tables(connection: Any, stop: Stop, told: Told) -> dict[str, Table]:
    """Rows and checksum of every table, of which the server computes a sum of hashes."""
    names = await connection.fetch(_TABLES)
    found: dict[str, Table] = {}
    for number, (schema, name) in enumerate(names):
        stop.check()
        told("compared", number, len(names))
        row = await connection.fetchrow(_SUM.format(f"ONLY {quoted(schema)}.{quoted(name)}"))
        digest = blake2b(row["total"].encode(), digest_size=16).hexdigest()
        found[name if schema == "public" else f"{schema}.{name}"] = Table(
            rows=row["rows"], checksum=digest
        )
    told("compared", len(names), len(names))
    return found


async def tables_of(url: str, database: str, stop: Stop, told: Told) -> dict[str, Table]:
    """Rows and checksum of every table of another database of that server."""
    async with connected(url, database) as connection:
        await _fix_text_forms(connection)
        return await tables(connection, stop, told)


@contextmanager
def dumping(url: str, programs: Programs, snapshot_id: str, stop: Stop) -> Iterator[Source]:
    """The dump of a snapshot, in the custom format, as `pg_dump` writes it.

    Raises:
        BackupError: `pg_dump` failed.
    """
    command = [programs.dump, "--format=custom", "--dbname=service=backstay", "--no-password",
               f"--snapshot={snapshot_id}"]  # fmt: skip
    with service(_libpq(url)) as environ, _running(command, environ, stop) as program:
        yield program.stdout  # type: ignore[misc]


@contextmanager
def _running(
    command: list[str], environ: dict[str, str], stop: Stop
) -> "Iterator[subprocess.Popen[bytes]]":
    """A program whose output is read; it fails if the program does."""
    import tempfile

    with tempfile.TemporaryFile() as said:
        program = subprocess.Popen(  # noqa: S603
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        )
        stop.add(program)
        try:
            yield program
            code = program.wait()
        except BaseException:
            program.kill()
            program.wait()
            raise
        finally:
            if program.stdout is not None:
                program.stdout.close()
        stop.check()
        if code:
            said.seek(0)
            raise BackupError(f"{last_words(said.read(), Path(command[0]).name)}.")


def restore_dump(
    url: str, database: str, programs: Programs, dump: Path, stop: Stop, *extra: str
) -> None:
    """Restore a dump into an empty database; the objects belong to the role that connects.

    ``extra`` are further options of `pg_restore`.

    Raises:
        BackupError: `pg_restore` failed.
    """
    command = [programs.restore, "--dbname=service=backstay", "--no-password", "--no-owner",
               "--single-transaction", *extra, str(dump)]  # fmt: skip
    with (
        service(_libpq(url), database) as environ,
        _running(command, environ, stop) as program,
    ):
        program.stdout.read()  # type: ignore[union-attr]


def _libpq(url: str) -> URL:
    return make_url(url)


def quoted(name: str) -> str:
    """A name, as it is written in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, as it is written in SQL."""
    return "'" + text.replace("'", "''") + "'"
