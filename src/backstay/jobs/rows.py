"""Stores the rows of a bulk action: a job for each command, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import String, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.core.bus import check_allowed
from backstay.core.context import Context, Sender
from backstay.core.errors import AppError, FieldError, Forbidden
from backstay.core.jobs import BULK, NewJob
from backstay.core.messages import Command
from backstay.core.tracing import SpanKind
from backstay.core.validation import MOST_FAULTS
from backstay.jobs.outbox import Outbox
from backstay.jobs.tables import IS_ROW, UNFINISHED, Job

ATTEMPTS = 3
"""How often a row may fail that could succeed later: those behind it wait."""


class _Turn(FunctionElement[Any]):
    """Waits until no other transaction has the turn of that name; this one has it to its end.

    On SQLite every transaction that writes has the turn.
    """

    inherit_cache = True


@compiles(_Turn)
def _locked(element: _Turn, compiler: SQLCompiler, **options: Any) -> str:
    name = compiler.process(element.clauses, **options)
    return f"pg_advisory_xact_lock(hashtextextended({name}, 0))"


@compiles(_Turn, "sqlite")
def _alone(element: _Turn, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


_IN_TURN = select(_Turn(bindparam("turn", type_=String)))
_LEFT = select(func.count()).where(Job.user_id == bindparam("user_id"), UNFINISHED, IS_ROW)


class BulkRows:
    """Stores commands on behalf of the principal, in the current transaction.

    Each is authorised again when it runs, with the grants that the principal has then, and has a
    transaction of its own: one that is refused stops none of the others.
    """

    __slots__ = ("_context", "_outbox")

    def __init__(self, send: Sender, outbox: Outbox) -> None:
        if send.parent is None:
            raise LookupError("rows are stored in the transaction of a command")
        self._context = send.parent
        self._outbox = outbox

    async def check(self, commands: Sequence[Command[Any]]) -> None:
        """Authorise every command.

        Raises:
            Forbidden: the principal may not send one of them; ``errors`` name the first of these as
                ``ids.0``, unless a rule on fields refuses all.
        """
        refused: list[tuple[int, Forbidden]] = []
        for number, command in enumerate(commands):
            try:
                await check_allowed(
                    Context(
                        *(command, self._context.principal),
                        *(self._context.origin, self._context.sender),
                    )
                )
            except Forbidden as error:
                if error.errors:
                    raise
                refused.append((number, error))
        if refused:
            raise Forbidden(
                refused[0][1].detail,
                errors=tuple(_named(*each) for each in refused[:MOST_FAULTS]),
            )

    async def enqueue(self, bulk_id: UUID, rows: Mapping[str, Command[Any]], most: int) -> bool:
        """Store a command for each target, unless the principal would have more than ``most`` rows
        that are not over; whether they are stored."""
        context, outbox = self._context, self._outbox
        first = next(iter(rows.values()))
        with outbox.tracer.span(f"enqueue {type(first).__name__}", SpanKind.PRODUCER) as span:
            options = {
                "sequence": f"{BULK}{bulk_id}",
                "max_attempts": ATTEMPTS,
                "request_id": context.origin.request_id,
                "address": context.origin.address,
                "traceparent": span.traceparent or context.origin.traceparent,
            }
            jobs = [
                outbox.new(row, context.principal, unique_key=row_key(bulk_id, target), **options)
                for target, row in rows.items()
            ]
            is_stored = await self._store(jobs, most)
        if is_stored:
            outbox.wake_after(context, jobs[0].id)
        return is_stored

    async def _store(self, jobs: Sequence[NewJob], most: int) -> bool:
        """Those of one user count in turn: other transactions may be about to store more rows.

        Nobody else knows the sequence yet, so that nobody has to line up.
        """
        user_id, session = jobs[0].user_id, self._context.unit.transaction
        await session.execute(_IN_TURN, {"turn": f"{BULK}{user_id}"})
        left = (await session.execute(_LEFT, {"user_id": user_id})).scalar_one()
        if left + len(jobs) > most:
            return False
        (insert, _), *notify = self._outbox.store.inserting(jobs[0])
        inserting = [self._outbox.store.inserting(job)[0] for job in jobs]
        await session.execute(insert, [parameters for _, parameters in inserting])
        for statement, parameters in notify:
            await session.execute(statement, parameters)
        return True


def row_key(bulk_id: UUID, target: str) -> str:
    """The unique key of a row, which tells its target."""
    return f"{BULK}{bulk_id}:{target}"


def _named(number: int, error: AppError) -> FieldError:
    return FieldError(f"ids.{number}", error.code, error.detail)
