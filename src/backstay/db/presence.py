"""Compares the tables that models need with those that are there: migrations may never make one."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ARRAY, String, Table, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.core.wiring import Code, Flaw, WiringFault
from backstay.db.base import Base
from backstay.db.session import Database

_MEND = (
    "Write its migration with `backstay db revision` and run `backstay db upgrade`, or restore "
    "what was removed; what is made elsewhere must be made before the start."
)
_IN_SQLITE = text(
    "SELECT '\"' || lower(made.name) || '\"', lower(had.name) FROM sqlite_master AS made "
    "JOIN pragma_table_info(made.name) AS had WHERE made.type IN ('table', 'view')"
)
_IN_POSTGRES = text(
    "SELECT wanted.name, had.attname FROM unnest(:names) AS wanted(name) "
    "JOIN pg_attribute AS had ON had.attrelid = to_regclass(wanted.name) "
    "WHERE had.attnum > 0 AND NOT had.attisdropped"
).bindparams(bindparam("names", type_=ARRAY(String)))


async def absence_faults(
    database: Database, models: Sequence[type[Base]]
) -> tuple[WiringFault, ...]:
    """Every table and column that models need and the database lacks; one statement.

    Unqualified names are looked for where statements look for them: in the ``search_path``.

    Raises:
        AppError: the database cannot be asked.
    """
    async with database.probing() as connection:
        statement = _IN_SQLITE if database.options.is_sqlite else _IN_POSTGRES
        found = await _found(connection, models, statement)
    return tuple(fault for model in models for fault in _faults(model, found))


async def _found(
    connection: AsyncConnection, models: Sequence[type[Base]], statement: TextClause
) -> dict[str, set[str]]:
    """The columns of the tables that are there, by the quoted names of those."""
    names = [_quoted(table) for model in models for table in _tables(model)]
    given = {"names": names} if statement is _IN_POSTGRES else {}
    found: dict[str, set[str]] = {}
    for table, column in await connection.execute(statement, given):
        found.setdefault(table, set()).add(column)
    return found


def _faults(model: type[Base], found: dict[str, set[str]]) -> Iterator[WiringFault]:
    for table in _tables(model):
        there = found.get(_quoted(table)) or found.get(_quoted(table).lower())
        if there is None:
            problem = f"The database has no table {table.fullname}, which {model.__name__} is."
            yield Flaw(Code.TABLE_MISSING, problem, _MEND).of(model)
            continue
        for column in table.columns:
            if column.name not in there and column.name.lower() not in there:
                problem = f"The database has no column {table.fullname}.{column.name}."
                yield Flaw(Code.TABLE_COLUMN_MISSING, problem, _MEND).of(model)


def _tables(model: type[Base]) -> Iterator[Table]:
    if isinstance(model.__table__, Table):
        yield model.__table__


def _quoted(table: Table) -> str:
    parts = (table.schema, table.name) if table.schema else (table.name,)
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)
