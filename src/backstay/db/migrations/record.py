"""The record of applied revisions, by which older code tells whether it works with a database.

`alembic_version` names the last revisions alone, and code that lacks their files learns nothing
from that. The record names all of them, each with the oldest code that works with the schema.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.core.clock import utc_now
from backstay.db.base import UtcDateTime
from backstay.db.faults import sqlstate
from backstay.db.migrations.declared import oldest_code
from backstay.db.migrations.runner import Histories, applied_of

RECORD = Table(
    "schema_revisions",
    MetaData(),
    Column("revision", String(32), primary_key=True),
    Column("oldest_code", String(32)),
    Column("applied_at", UtcDateTime),
)
"""``oldest_code`` is what the revision declares; ``applied_at`` is null where nobody noted it."""
_READ = select(RECORD.c.revision, RECORD.c.oldest_code)
Record = Mapping[str, str | None]
"""By revision: the oldest code that works with it, None if it asks for none."""


def lacks_table(error: DBAPIError) -> bool:
    """Whether a statement failed because a table does not exist."""
    return sqlstate(error) == "42P01" or "no such table" in str(error.orig)


async def read(connection: AsyncConnection) -> Record:
    """The record; empty in a database that has none."""
    try:
        rows = (await connection.execute(_READ)).all()
    except DBAPIError as error:
        if lacks_table(error):
            return {}
        raise
    return {row.revision: row.oldest_code for row in rows}


def settle(
    connection: Connection, histories: Histories, stored: Sequence[str], applied: Collection[str]
) -> None:
    """Make the record say what `alembic_version` says; ``applied`` are those of this minute."""
    if not inspect(connection).has_table(RECORD.name):
        return
    wanted = {name: oldest_code(each) for name, each in applied_of(histories, stored).items()}
    there = {row.revision: row.oldest_code for row in connection.execute(_READ)}
    changed = [each for each in there if there[each] != wanted.get(each, object())]
    if changed:
        connection.execute(delete(RECORD).where(RECORD.c.revision.in_(changed)))
    now = utc_now()
    rows = [
        {
            "revision": each,
            "oldest_code": wanted[each],
            "applied_at": now if each in applied else None,
        }
        for each in wanted
        if each in changed or each not in there
    ]
    if rows:
        connection.execute(insert(RECORD), rows)
