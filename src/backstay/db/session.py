"""The database as handlers use it: the session of a command, the reader of a query."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from uuid import UUID

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
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_state

from backstay.core.clock import utc_now
from backstay.core.context import CacheTags, PrincipalChanges, Write
from backstay.core.registry import Provider
from backstay.db.base import Base, Entity
from backstay.db.plain import Parameters, Rows
from backstay.db.sight import Look, Overtaken, Seen, Sight

E = TypeVar("E", bound=Base)


class CommitForbidden(RuntimeError):
    """Something other than the transaction step tried to end a transaction."""


class _SyncTransaction(Session):
    pass


_UNUSED = _SyncTransaction()
"""Knows who listens to every session."""


class Transaction(AsyncSession):
    """The session that a command's handler receives. Only the transaction step commits it.

    A commit by any other code raises :class:`CommitForbidden`; savepoints are allowed.
    ``pending`` are the writes that wait until the session is used otherwise, or for the commit,
    ``seen`` the rows that were read without a lock, which ``look`` does.

    What SQLAlchemy keeps of a session is made when it is first needed: a command that only inserts,
    or changes the row that it is about, mostly does without.
    """

    sync_session_class = _SyncTransaction

    def __init__(
        self,
        bind: AsyncEngine,
        pending: list[Write] | None = None,
        look: Look | None = None,
        **stamps: Any,
    ) -> None:
        self.pending = [] if pending is None else pending
        self.seen: list[Seen] = []
        self._engine, self._look, self._stamps = bind, look, stamps
        self._rows: dict[Any, Any] = {}

    if not TYPE_CHECKING:  # a checker knows what an AsyncSession has

        def __getattr__(self, name: str) -> Any:
            """Make the session as soon as something of it is missing."""
            if self._is_made or name.startswith("__"):
                raise AttributeError(name)
            super().__init__(self._engine, expire_on_commit=False)
            self.info.update(self._stamps, pending=self.pending, seen=self.seen)
            self.add_all(self._rows.values())
            self._rows.clear()
            return getattr(self, name)

    @property
    def _is_made(self) -> bool:
        return "sync_session" in vars(self)

    @property
    def is_in_use(self) -> bool:
        """Whether a row is to be sent at once: it has a connection, or a savepoint."""
        return self.is_open or (self._is_made and self.sync_session.in_nested_transaction())

    @property
    def is_open(self) -> bool:
        """Whether it has a connection: it has been used for anything besides pending writes."""
        return self._is_made and "connection" in self.info

    @property
    def has_locked_late(self) -> bool:
        """Whether rows that were read without a lock had to be locked all the same."""
        return self._is_made and "locked_late" in self.info

    def _stamp(self) -> tuple[datetime, UUID | None]:
        """The time and the author for the rows that are changed now."""
        return self._stamps.get("clock", utc_now)(), self._stamps.get("author")

    def defers(self) -> bool:
        """Leave changes of seen rows to the commit; whether nothing else is to be written, besides
        pending writes."""
        if self._is_made:
            sync = self.sync_session
            if self.is_open or sync.new or sync.deleted:
                return False
            changed = list(sync.dirty)
        else:
            changed = [row for row in self._rows.values() if instance_state(row).modified]
        seen = {id(each.row): each for each in self.seen}
        found = [seen.get(id(row)) for row in changed]
        known = self.identity_map if self._is_made else None
        return all(each and each.take_changes(*self._stamp(), known) for each in found)

    async def close(self) -> None:
        """End the session, if there is one."""
        if self._is_made:
            await super().close()

    async def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what is pending and what has changed; changes of seen rows wait for the commit."""
        if objects is None and not self.pending and self.defers():
            return
        if self.pending:
            await self.run_sync(lambda sync: sync.connection())
        await super().flush(objects)

    async def see(self, sight: Sight, *sought: Any) -> list[Any] | None:
        """The rows that a statement with ``sight.select`` and its parameters find, not locked: they
        are not written if somebody else changes them until the commit. None if they must be locked.
        """
        if self._look is None or self.pending or self.is_in_use:
            return None
        events = (self.sync_session if self._is_made else _UNUSED).dispatch
        if len(events.before_flush) > 1 or events.after_flush:
            return None  # besides ours, somebody listens to what SQLAlchemy writes
        found = await self._look(*sought)
        return None if found is None else [self._seen(Seen(sight, values)) for values in found]

    def _seen(self, seen: Seen) -> Any:
        known = self._rows.get(seen.key)
        if known is None and self._is_made:
            known = self.sync_session.identity_map.get(seen.key)
        if known is not None:
            return known
        self.seen.append(seen)
        return self._hold(seen.row)

    def _hold(self, row: E) -> E:
        """Have a row in the session as if it had been read."""
        state = instance_state(row)
        needs_session = state.mapper.relationships or isinstance(row, AsyncAttrs)
        if self._is_made or needs_session:  # it loads more of them, and writes what they hold
            self.add(row)
        else:
            self._rows[state.key] = row
        return row

    def interrupt(self) -> None:
        """End the statement that runs on SQLite, whose driver goes on with a cancelled one."""
        connection: Connection | None = self.info["connection"] if self.is_open else None
        if connection is None or connection.closed or connection.invalidated:
            return
        driver = connection.connection.driver_connection
        if isinstance(driver, aiosqlite.Connection):
            driver._conn.interrupt()

    async def insert_one(self, row: E) -> E:
        """Insert a new row and return it; an `Entity` then has its id, times and so on.

        Its primary key is given, or has a default in Python. That costs half as much as `add` and
        `flush`, which sort rows by their dependencies. Afterwards the session holds the row as if
        it had been read.

        The INSERT is sent with the next use of the session, before it, or else with the commit. A
        handler that must know whether the row was refused flushes, or inserts it in a savepoint
        (``begin_nested``), where it is sent at once.
        """
        statement, defaults = _insert_of(type(row))
        given = vars(row)
        if isinstance(row, Entity):
            row.stamp(*self._stamp())
            given["version"] = 1
        for name, default in defaults:
            if name not in given:
                given[name] = default(None) if callable(default) else default
        values = {name: given[name] for name, _ in defaults}
        await self.write_soon(statement, values)
        make_transient_to_detached(row)
        return self._hold(row)

    async def write_soon(self, statement: Executable, parameters: Mapping[str, Any]) -> None:
        """Execute a statement whose rows nobody needs: before the next use of the session."""
        if self.is_in_use:
            await self.run_sync(lambda sync: sync.connection().execute(statement, parameters))
        else:
            self.pending.append((statement, parameters))

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
            now, author = self._stamp()
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
def _write_what_is_pending(session: Session, _: Any, connection: Connection) -> None:
    session.info["connection"] = connection
    pending: list[Write] = session.info["pending"]
    seen: list[Seen] = session.info["seen"]
    for each in seen:
        session.info["locked_late"] = True
        if connection.execute(*each.lock).first() is None:
            raise Overtaken
    while pending:
        connection.execute(*pending.pop(0))
    for each in seen:
        if each.is_changed:
            connection.execute(*each.check)
    seen.clear()


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
