"""Stores the rows of a bulk action: a job for each command, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from backstay.core.bus import check_allowed
from backstay.core.context import Context
from backstay.core.errors import AppError, FieldError, Forbidden
from backstay.core.jobs import BULK
from backstay.core.messages import Command
from backstay.core.tracing import SpanKind
from backstay.core.validation import MOST_FAULTS
from backstay.jobs.outbox import Outbox

ATTEMPTS = 3
"""How often a row may fail that could succeed later: those behind it wait."""


class BulkRows:
    """Stores commands on behalf of the principal, in the current transaction.

    Each is authorised again when it runs, with the grants that the principal has then, and has a
    transaction of its own: one that is refused stops none of the others.
    """

    __slots__ = ("_context", "_outbox")

    def __init__(self, context: Context, outbox: Outbox) -> None:
        self._context = context
        self._outbox = outbox

    def fault(self, command: type[Command[Any]]) -> str | None:
        """Why a command cannot be stored, or None."""
        return self._outbox.fault(command)

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
            is_stored = await outbox.store.insert_rows(context.unit.transaction, jobs, most)
        if is_stored:
            outbox.wake_after(context, jobs[0].id)
        return is_stored


def row_key(bulk_id: UUID, target: str) -> str:
    """The unique key of a row, which tells its target."""
    return f"{BULK}{bulk_id}:{target}"


def _named(number: int, error: AppError) -> FieldError:
    return FieldError(f"ids.{number}", error.code, error.detail)
