"""Commits commands that only left statements behind; those that end together share a commit."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from backstay.core.background import in_background
from backstay.core.context import Guard, Write
from backstay.db.faults import commit_failed

MOST = 100
"""How many commands share a transaction at most."""


class _Waiting(NamedTuple):
    """The statements of one command; the result tells whether its guard held."""

    writes: Sequence[Write]
    guard: Guard | None
    committed: asyncio.Future[bool]


class GroupCommit:
    """Commits statements of several commands in one transaction (DeWitt et al. 1984, section 5).

    While one transaction is under way, the commands that end meanwhile wait for the next: a lone
    command waits for nobody, and the more there are, the less each costs. A command counts as
    committed only after the commit of all. If a statement fails, each command is tried again in a
    transaction of its own, so that none fails by the fault of another.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None

    async def __call__(self, writes: Sequence[Write], guard: Guard | None = None) -> bool:
        """Execute the statements and commit them, or nothing if the guard does not hold.

        Raises:
            SQLAlchemyError: a statement failed; nothing was written.
            AppError: the commit failed.
        """
        committed = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(writes, guard, committed))
        if self._committing is None:
            self._committing = in_background(self._commit_all())
        return bool(await committed)

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._commit(group)
        finally:
            self._committing = None
            for each in self._waiting:
                each.committed.cancel()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            held = await greenlet_spawn(self._write, group)
        except (SQLAlchemyError, OSError) as error:
            if len(group) > 1 and _is_of_one_statement(error):
                for each in group:
                    await self._commit([each])
            else:
                _fail(group, error)
        except BaseException as error:
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
        else:
            for each in group:
                if not each.committed.done():
                    each.committed.set_result(each.guard is None or each.guard.key in held)

    def _write(self, group: Sequence[_Waiting]) -> Collection[Any]:
        with self._engine.connect() as connection:
            transaction = connection.begin()
            held = _held(connection, [each.guard for each in group if each.guard is not None])
            rows = defaultdict[Executable, list[Mapping[str, Any]]](list)
            for each in group:
                if each.guard is None:
                    writes = each.writes
                elif each.guard.key in held:
                    writes = (each.guard.change, *each.writes)
                else:
                    continue
                for statement, parameters in writes:
                    rows[statement].append(parameters)
            for statement, many in rows.items():
                connection.execute(statement, many)
            try:
                transaction.commit()
            except SQLAlchemyError as error:
                # on SQLite a transaction stays open if its COMMIT fails
                connection.invalidate()
                raise commit_failed(error) from error
            return held


def _held(connection: Connection, guards: Sequence[Guard]) -> Collection[Any]:
    """The keys of the guards that hold, whose rows are locked from now on."""
    found = set[Any]()
    for holding in {guard.holding for guard in guards}:
        ids = [guard.key[0] for guard in guards if guard.holding is holding]
        found.update(tuple(row) for row in connection.execute(holding, {"ids": ids}))
    return found


def _is_of_one_statement(error: Exception) -> bool:
    """Whether the database answers, so that other statements may succeed."""
    is_gone = isinstance(error, DBAPIError) and error.connection_invalidated
    return not (is_gone or isinstance(error, OSError | PoolTimeout))


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for each in group:
        if not each.committed.done():
            each.committed.set_exception(error)
