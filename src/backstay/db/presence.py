"""Checks that the database has every table and column of the models: a migration may be missing."""

import json
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import ARRAY, String, Table, bindparam, text

from backstay.core.wiring import Code, Flaw
from backstay.db.base import Base
from backstay.db.session import Database

_MEND = (
    "Write its migration with `backstay db revision` and run `backstay db upgrade`, or restore "
    "what was removed; what is made elsewhere must be made before the start."
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
