"""The JobStore port on both databases: claims, leases and outcomes of jobs, one statement each."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from backstay.core.context import Write
from backstay.core.jobs import Backlog, JobRun, NewJob
from backstay.db.database import Database
from backstay.db.session import Transaction
from backstay.jobs.claiming import CLAIM
from backstay.jobs.statements import (
    ALONE,
    ANNOUNCE,
    BACKLOG,
    CANCELLED,
    FAIL,
    LINE_UP,
    LOST,
    NEW,
    NEW_UNLESS_THERE,
    NEXT_DUE,
    NOTIFY_OF,
    NOW,
    RELEASE,
    RENEW,
    REPORT,
    RETRY,
    SLOTS,
)
from backstay.jobs.tables import UNFINISHED, Job, Schedule

_FIELDS = tuple(each.name for each in fields(NewJob))


class DatabaseJobs:
    """Keeps jobs in their table; ``names`` are the commands that this application knows.

    All times come from the clock of the database.
    """

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._database = database
        self._names = names
        self._is_sqlite = database.options.is_sqlite
        self._insert = NEW_UNLESS_THERE[self._is_sqlite]

    async def insert(self, transaction: Transaction, job: NewJob) -> UUID:
        while True:
            stored = await transaction.execute(self._insert, _values(job))
            if stored.first() is not None:
                return job.id
            other = await transaction.scalar(
                select(Job.id).where(Job.unique_key == job.unique_key, UNFINISHED)
            )
            if other is not None:
                return other

    def inserting(self, job: NewJob) -> Sequence[Write]:
        new = (NEW[self._is_sqlite], _values(job))
        return [new] if self._is_sqlite else [new, (NOTIFY_OF, {"told": job.queue})]

    async def line_up(self, transaction: Transaction, job_ids: Sequence[UUID]) -> None:
        """On PostgreSQL, give new jobs their final positions, under a lock on each sequence.

        A database sequence counts outside of transactions, so that positions could otherwise
        contradict the order of the commits. SQLite has one writer at a time: nothing is to be done.
        """
        if not self._is_sqlite:
            await transaction.execute(ALONE, {"new": job_ids})
            await transaction.execute(LINE_UP, {"new": job_ids})

    async def announce(self, transaction: Transaction, job_id: UUID) -> None:
        """Notify of a changed job, as the statement of :meth:`insert` does of a new one."""
        if not self._is_sqlite:
            await transaction.execute(ANNOUNCE, {"job_id": job_id})

    async def claim(
        self,
        queues: Sequence[str] | None,
        limit: int,
        lease: float,
        reserved: int = 0,
        ahead: int = 0,
    ) -> list[JobRun]:
        parameters = {"names": self._names, "queues": queues, "limit": limit, "lease": lease}
        parameters |= {"tasks": limit - reserved, "slots": limit - ahead}
        if queues is None:
            del parameters["queues"]
        rows = await self._database.write(CLAIM[self._is_sqlite, queues is not None], parameters)
        return [JobRun(*row[1:]) for row in sorted(rows)]

    async def lost(self) -> list[JobRun]:
        return [JobRun(*row) for row in await self._database.reader.rows(LOST)]

    async def next_due(self, queues: Sequence[str] | None) -> float | None:
        parameters = None if queues is None else {"queues": queues}
        due, now = await self._database.reader.one_or_none(NEXT_DUE[queues is not None], parameters)
        return None if due is None else (due - now).total_seconds()

    async def renew(self, runs: Sequence[JobRun], lease: float) -> dict[UUID, bool]:
        attempts = {run.id: run.attempt for run in runs}
        rows = await self._database.write(RENEW, {"ids": list(attempts), "lease": lease})
        for run in runs:
            if not run.is_reported:
                run.is_reported = True
                await self._end(REPORT, run, percent=run.progress, text=run.note)
        return {row[0]: row[2] for row in rows if attempts[row[0]] == row[1]}

    async def retry(self, run: JobRun, code: str, error: str, delay: float) -> None:
        await self._end(RETRY, run, code=code, sentence=error, delay=delay)

    async def fail(self, run: JobRun, code: str, error: str) -> None:
        await self._end(FAIL, run, code=code, sentence=error)

    async def cancelled(self, run: JobRun) -> None:
        await self._end(CANCELLED, run)

    async def release(self, run: JobRun) -> None:
        await self._end(RELEASE, run)

    async def _end(self, statement: Executable, run: JobRun, **values: Any) -> None:
        await self._database.write(statement, {"run_id": run.id, "attempt": run.attempt, **values})

    async def backlog(self) -> list[Backlog]:
        rows = await self._database.reader.rows(BACKLOG, {"names": self._names})
        return [
            Backlog(queue, depth, max(0.0, (now - oldest).total_seconds()))
            for queue, depth, oldest, now in rows
        ]

    async def slots(self) -> tuple[datetime, dict[str, datetime]]:
        rows = await self._database.reader.rows(SLOTS)
        now = rows[0][0] if rows else await self._database.reader.scalar(select(NOW))
        return now, {name: slot for _, name, slot in rows}

    async def see(self, name: str, slot: datetime) -> None:
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        new = insert(Schedule).values(name=name, slot=slot)
        await self._database.write(
            new.on_conflict_do_update(
                index_elements=[Schedule.name],
                set_={"slot": new.excluded.slot},
                where=Schedule.slot < new.excluded.slot,
            )
        )

    async def forget(self, name: str, *, after: datetime) -> None:
        await self._database.write(
            delete(Schedule).where(Schedule.name == name, Schedule.slot > after)
        )

    async def fire(self, name: str, slot: datetime, job: NewJob) -> bool:
        """Store the job of a slot, whose id follows from it: a second insert does nothing."""
        row = await self._database.write(self._insert, _values(job))
        await self.see(name, slot)
        return bool(row)


def _values(job: NewJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _FIELDS}
