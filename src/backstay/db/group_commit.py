"""Lets commands that end together, and that cannot wait for locks, share one commit."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

import structlog
from sqlalchemy import Connection, Executable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from backstay.core.background import in_background
from backstay.core.context import Guard, Write
from backstay.db.sight import Overtaken

log = structlog.get_logger("backstay.transaction")

S = TypeVar("S", bound=Executable)

MOST = 100
"""How many commands share a commit at most."""

_never_waiting = WeakSet[Executable]()


def never_waits(statement: S) -> S:
    """Declare that a statement waits for no lock: it inserts rows whose table has no foreign key,
    and no unique key but an id made for each row."""
    _never_waiting.add(statement)
    return statement


class _Ending(NamedTuple):
    """A command that ends: its statements, and whether they were committed with others."""

    writes: Sequence[Write]
    guard: Guard | None
    checks: Sequence[Write]
    is_committed: asyncio.Future[bool]


class GroupCommit:
    """Group commit (DeWitt et al., Implementation Techniques for Main Memory Database Systems,
    1984): several commands are written and committed in one transaction.

    A lone command waits for nobody: only those that end while a commit is under way share the next
    one. None is committed before its statements are. A guard whose row another transaction has
    locked is left out, and after an error nothing is written, so that no command waits or fails
    because of another. ``finish`` commits what a group has written.
    """

    def __init__(self, engine: AsyncEngine, finish: Callable[[Connection], None]) -> None:
        self._engine, self._finish = engine.sync_engine, finish
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._ending: list[_Ending] = []
        self._committing: asyncio.Task[None] | None = None

    def takes(self, writes: Sequence[Write], checks: Sequence[Write] = ()) -> bool:
        """Whether statements may be executed with those of others.

        On PostgreSQL one that waits for a lock would hold up all others; on SQLite there is one
        lock, which all wait for in any case. A second check could fail after the first has written.
        """
        if self._is_sqlite:
            return len(checks) <= 1
        return not checks and all(statement in _never_waiting for statement, _ in writes)

    async def __call__(
        self, writes: Sequence[Write], guard: Guard | None, checks: Sequence[Write] = ()
    ) -> bool:
        """Commit the statements with those of others; if False, nothing was written.

        A check is executed first, and must return a row.

        Raises:
            Overtaken: a check returned none; nothing was written.
            AppError: the commit failed.
        """
        is_committed = asyncio.get_running_loop().create_future()
        self._ending.append(_Ending(writes, guard, checks, is_committed))
        if self._committing is None:
            self._committing = in_background(self._commit_all())
        return bool(await is_committed)

    async def _commit_all(self) -> None:
        try:
            while self._ending:
                group, self._ending = self._ending[:MOST], self._ending[MOST:]
                await self._end(group)
        finally:
            self._committing = None
            for each in self._ending:  # the process ends
                each.is_committed.cancel()

    async def _end(self, group: Sequence[_Ending]) -> None:
        try:
            outcomes = await greenlet_spawn(self._write, group)
        except (SQLAlchemyError, OSError) as error:
            log.debug("commands are committed one by one", fault=error)
            for each in group:
                _settle(each, is_committed=False)
        except BaseException as error:
            for each in group:
                if not each.is_committed.done():
                    each.is_committed.set_exception(error)
        else:
            for each, outcome in zip(group, outcomes, strict=True):
                _settle(each, is_committed=outcome)

    def _write(self, group: Sequence[_Ending]) -> list[bool | None]:
        """Write and commit what may be, and return what was; None where a check failed."""
        with self._engine.connect() as connection:
            held = _held(connection, [each.guard for each in group if each.guard is not None])
            rows = defaultdict[Any, list[Mapping[str, Any]]](list)
            outcomes: list[bool | None] = []
            for each in group:
                if any(connection.execute(*check).first() is None for check in each.checks):
                    outcomes.append(None)
                    continue
                outcomes.append(each.guard is None or each.guard.key in held)
                for statement, parameters in _writes(each, held):
                    rows[statement].append(parameters)
            for statement, many in rows.items():
                connection.execute(statement, many)
            self._finish(connection)
            return outcomes


def _held(connection: Connection, guards: Sequence[Guard]) -> Collection[Any]:
    """The keys of the guards that hold; no other transaction can change their rows from now on."""
    found = set[Any]()
    for holding in {guard.holding for guard in guards}:
        ids = [guard.key[0] for guard in guards if guard.holding is holding]
        found.update(tuple(row) for row in connection.execute(holding, {"ids": ids}))
    return found


def _writes(ending: _Ending, held: Collection[Any]) -> Sequence[Write]:
    if ending.guard is None:
        return ending.writes
    return (ending.guard.change, *ending.writes) if ending.guard.key in held else ()


def _settle(ending: _Ending, *, is_committed: bool | None) -> None:
    if ending.is_committed.done():
        return
    if is_committed is None:
        ending.is_committed.set_exception(Overtaken())
    else:
        ending.is_committed.set_result(is_committed)
