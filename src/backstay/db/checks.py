"""Checks at the start: connections that PostgreSQL allows, tables and columns of the models."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import ARRAY, String, Table, bindparam, text

from backstay.core.wiring import Code, Flaw, Place
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.options import EngineOptions, driver_arguments
from backstay.settings.groups.db import FEWEST

_MIGRATION = 2
"""Connections of `backstay db upgrade`: one migrates, one reads the state of the schema."""

_LIMITS = """
SELECT current_setting('max_connections')::int
     - current_setting('superuser_reserved_connections')::int
     - coalesce(current_setting('reserved_connections', true), '0')::int AS server,
       datconnlimit AS database, rolconnlimit AS role
  FROM pg_database, pg_roles
 WHERE datname = current_database() AND rolname = current_user
"""
_NAMES = {
    "server": "the server (max_connections less those it reserves)",
    "database": "the database (its CONNECTION LIMIT)",
    "role": "the role (its CONNECTION LIMIT)",
}
_MEND = (
    "Write its migration with `backstay db revision` and run `backstay db upgrade`, or restore "
    "what was removed; if it was dropped on purpose, take it out of the model; what is made "
    "elsewhere must be made before the start."
)
_IN_SQLITE = text(
    "SELECT wanted.key, lower(had.name) FROM json_each(:names) AS wanted "
    "JOIN pragma_table_xinfo(wanted.value) AS had"
)
_IN_POSTGRES = text(
    "SELECT wanted.name, had.attname FROM unnest(:names) AS wanted(name) "
    "JOIN pg_attribute AS had ON had.attrelid = to_regclass(wanted.name) "
    "WHERE NOT had.attisdropped"
).bindparams(bindparam("names", type_=ARRAY(String)))


async def shortage(options: EngineOptions, processes: int, workers: int = 1) -> str | None:
    """What is wrong if all these processes open all the connections they may open, or None.

    It is also None if the database cannot be reached, and behind PgBouncer, whose own settings
    limit the connections of its clients and those to the server.
    """
    if options.is_sqlite or options.pgbouncer:
        return None
    import asyncpg  # noqa: PLC0415  not needed on SQLite

    _, arguments = driver_arguments(options, "backstay")
    try:
        connection = await asyncpg.connect(**arguments)
        try:
            row = await connection.fetchrow(_LIMITS)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    return shortage_of(processes, workers, options.max_connections, dict(row or {}))


def shortage_of(processes: int, workers: int, each: int, limits: dict[str, int]) -> str | None:
    """The sentence about the lowest limit, if it is exceeded; a negative value is no limit.

    ``each`` is the number of connections that each process and each worker may open.
    """
    wanted = (processes + workers) * each + _MIGRATION
    name, limit = min(
        ((name, limit) for name, limit in limits.items() if limit >= 0),
        key=lambda pair: pair[1],
        default=("", wanted),
    )
    if wanted <= limit:
        return None
    fits = (limit - _MIGRATION) // (processes + workers)
    lower = f"Set DB_MAX_CONNECTIONS to {fits} at most, raise" if fits >= FEWEST else "Raise"
    return (
        f"PostgreSQL may run out of connections: {processes} of the server's processes and "
        f"{workers} workers may open {each} each (DB_MAX_CONNECTIONS), a migration "
        f"{_MIGRATION} more, which makes {wanted}; {_NAMES[name]} lets in {limit}. "
        f"{lower} that limit, run fewer processes, or put PgBouncer in front."
    )


def twice_faults(models: Iterable[type[Base]]) -> Iterator[Flaw]:
    """Those of the models whose table has the name of another one's."""
    names = dict(Base.table_twice)
    first = {getattr(each.local_table, "name", ""): each.class_ for each in Base.registry.mappers}
    for model in models:
        if name := names.get(model):
            there = f"{first[name].__name__}, at {Place.of(first[name])}"
            problem = f"The table {name} of {model.__name__} is that of {there}."
            hint = "Give `__tablename__` another name, such as one with the project's in front."
            yield Flaw(Code.TABLE_TWICE, problem, hint).of(model)


async def absence_faults(database: Database, models: Sequence[type[Base]]) -> tuple[Flaw, ...]:
    """Every table and column of the models that the database lacks, found by one statement.

    On PostgreSQL a name without a schema is looked up in the ``search_path``, as in statements.

    Raises:
        AppError: the statement failed.
    """
    is_sqlite = database.options.is_sqlite
    written = database.probe_engine.dialect.identifier_preparer.format_table
    tables = [(model, written(table), table) for model in models for table in _tables(model)]
    asked = {name: table.name for _, name, table in tables}
    given = json.dumps(asked) if is_sqlite else list(asked)
    found: dict[str, set[str]] = {}
    async with database.probing() as connection:
        statement = _IN_SQLITE if is_sqlite else _IN_POSTGRES
        for name, column in await connection.execute(statement, {"names": given}):
            found.setdefault(name, set()).add(column)
    as_kept = _in_sqlite if is_sqlite else str
    return tuple(
        flaw.of(model)
        for model, name, table in tables
        for flaw in _flaws(model, table, found.get(name), as_kept)
    )


def _flaws(
    model: type[Base], table: Table, there: set[str] | None, as_kept: Callable[[str], str]
) -> Iterator[Flaw]:
    if there is None:
        problem = f"The database has no table {table.fullname}, which {model.__name__} is."
        yield Flaw(Code.TABLE_MISSING, problem, _MEND)
        return
    for column in table.columns:
        if as_kept(column.name) not in there:
            problem = f"The database has no column {table.fullname}.{column.name}."
            yield Flaw(Code.TABLE_COLUMN_MISSING, problem, _MEND)


def _tables(model: type[Base]) -> Iterator[Table]:
    if isinstance(model.__table__, Table):
        yield model.__table__


def _in_sqlite(name: str) -> str:
    """A name as SQLite's `lower` returns it: only ASCII letters are lower-cased."""
    return name.encode().lower().decode()
