"""The database as handlers use it: the session of a command, the reader of a query."""

from functools import cache
from typing import Any, Protocol, TypeVar, cast

import aiosqlite
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Executable,
    Insert,
    Table,
    Update,
    delete,
    event,
    insert,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction, make_transient_to_detached

from backstay.core.context import CacheTags, PrincipalChanges
from backstay.core.registry import Provider
from backstay.db.base import Base, Entity, stamp_of
from backstay.db.reading import Parameters, Rows

E = TypeVar("E", bound=Base)


class CommitForbidden(RuntimeError):
    """Something other than the transaction step tried to end a transaction."""


class _SyncTransaction(Session):
    pass


class Transaction(AsyncSession):
    """The session that a command's handler receives. Only the transaction step commits it.

    A commit by any other code raises :class:`CommitForbidden`; savepoints are allowed.
    """

    sync_session_class = _SyncTransaction

    def interrupt(self) -> None:
        """End the statement that runs on SQLite, whose driver goes on with a cancelled one."""
        connection: Connection | None = self.info.get("connection")
        if connection is None or connection.closed or connection.invalidated:
            return
        driver = connection.connection.driver_connection
        if isinstance(driver, aiosqlite.Connection):
            driver._conn.interrupt()

    async def insert_one(self, row: E) -> E:
        """Insert a new row at once and return it; an `Entity` then has its id, times and so on.

        Its primary key is given, or has a default in Python. That costs half as much as `add` and
        `flush`, which sort rows by their dependencies. Afterwards the session holds the row as if
        it had been read.
        """
        if isinstance(row, Entity):
            row.stamp(*stamp_of(self))
            row.version = 1
        statement, defaults = _insert_of(type(row))
        given = row.__dict__
        for name, default in defaults:
            if name not in given:
                setattr(row, name, default(None) if callable(default) else default)
        values = {name: given[name] for name, _ in defaults}
        await self.run_sync(lambda sync: sync.connection().execute(statement, values))
        make_transient_to_detached(row)
        self.add(row)
        return row

    async def update_where(
        self,
        entity: type[Base],
        predicate: ColumnElement[bool],
        /,
        *more: ColumnElement[bool],
        **values: Any,
    ) -> int:
        """Change every row that meets the predicates and return how many there were.

        The version, time and author of each row are updated, as when it is changed alone.
        """
        stamps: dict[str, Any] = {}
        if issubclass(entity, Entity):
            now, author = stamp_of(self)
            stamps = {"version": entity.version + 1, "updated_at": now, "updated_by": author}
        return await self._affected(update(entity).where(predicate, *more).values(stamps | values))

    async def delete_where(
        self, entity: type[Base], predicate: ColumnElement[bool], /, *more: ColumnElement[bool]
    ) -> int:
        """Delete every row that meets the predicates and return how many there were."""
        return await self._affected(delete(entity).where(predicate, *more))

    async def _affected(self, statement: Update | Delete) -> int:
        return cast(CursorResult[Any], await self.execute(statement)).rowcount


@cache
def _insert_of(entity: type[Base]) -> tuple[Insert, list[tuple[str, Any]]]:
    """The INSERT of an entity, and the default of each of its columns: a value or a function."""
    columns = entity.__mapper__.columns
    defaults = [(name, getattr(column.default, "arg", None)) for name, column in columns.items()]
    return insert(cast(Table, entity.__table__)).inline(), defaults


@event.listens_for(_SyncTransaction, "after_begin")
def _write_pending(session: Session, _: SessionTransaction, connection: Connection) -> None:
    """Execute what was left to be written before the session was used, as its first statements."""
    session.info["connection"] = connection
    pending = session.info.get("pending", [])
    writes, pending[:] = pending[:], []
    for statement, parameters in writes:
        connection.execute(statement, parameters)


@event.listens_for(_SyncTransaction, "before_commit")
def _only_the_step_commits(session: Session) -> None:
    if session.get_nested_transaction() is None and not session.info.get("committing"):
        raise CommitForbidden("only the transaction step commits; return from the handler instead")


WRITING: dict[Any, Provider] = {
    Transaction: lambda context: context.unit.transaction,
    PrincipalChanges: lambda context: context.unit.changes,
    CacheTags: lambda context: context.unit.tags,
}
"""The parameters that only the handler of a command can take, by type."""


class _Run(Protocol):
    """Executes one statement and returns every row."""

    async def __call__(self, statement: Executable, parameters: Parameters = None, /) -> Rows: ...


class Reader:
    """Runs single statements; each takes a connection only while it runs."""

    __slots__ = ("rows",)

    def __init__(self, run: _Run) -> None:
        self.rows = run

    async def one_or_none(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0] if rows else None

    async def scalar(self, statement: Executable, parameters: Parameters = None) -> Any:
        """The first column of the first row, or None."""
        rows = await self.rows(statement, parameters)
        return rows[0][0] if rows else None
