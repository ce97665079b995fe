"""The pipeline step that marks a job as done in the transaction of its command."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import structlog
from pydantic_core import PydanticSerializationError, from_json, to_json

from backstay.core.bus import Next
from backstay.core.context import Context, Guard, UnitOfWork
from backstay.core.errors import Refusal
from backstay.core.jobs import JobRun, JobState, JobTimedOut, public_error
from backstay.core.messages import Command, Message
from backstay.jobs.statements import END, HELD

GRACE = 0.5
"""Seconds between the interruption of a statement and the end of its handler."""
log = structlog.get_logger("backstay.jobs")


def finish_job(message: type[Message[Any]], call_next: Next) -> Next:
    """Mark the job that sent a command as done, inside the transaction of that command.

    If the worker has lost its claim, the transaction is rolled back. The timeout of the job, which
    the worker applies too, is applied here as well: a transaction goes on when the task that waits
    for it is cancelled.
    """
    if not issubclass(message, Command):
        return call_next

    async def finish(job: JobRun, context: Context) -> Any:
        result = await _in_time(context, call_next, message.job_timeout)
        context.unit.guard = Guard(
            (END, {"run_id": job.id, "attempt": job.attempt} | _end(job, result)),
            HELD,
            (job.id, job.attempt),
            asyncio.CancelledError("another worker has taken the job over"),
        )
        return result

    def run(context: Context) -> Awaitable[Any]:
        job = context.origin.job
        return call_next(context) if job is None or context.is_nested else finish(job, context)

    return run


async def _in_time(context: Context, handle: Next, seconds: float) -> Any:
    """Run the handler and return its result, or cancel it when it takes too long.

    On SQLite a running statement is interrupted ``GRACE`` seconds before that: the driver would
    let a cancelled statement go on, and the statement would keep its lock.
    """
    alarm = asyncio.get_running_loop().call_later(seconds, _interrupt, context.unit)
    try:
        async with asyncio.timeout(seconds + GRACE) as limit:
            return await handle(context)
    except TimeoutError as error:
        if limit.expired():
            raise JobTimedOut from error
        raise
    finally:
        alarm.cancel()


def _interrupt(unit: UnitOfWork) -> None:
    if unit.opened is not None:
        unit.opened.interrupt()


def _end(job: JobRun, result: Any) -> dict[str, Any]:
    is_refused = isinstance(result, Refusal)
    code, error = public_error(result.error) if is_refused else (None, None)
    return {
        "end": (JobState.FAILED if is_refused else JobState.SUCCEEDED).value,
        "percent": job.progress,
        "text": job.note,
        "outcome": None if is_refused else _storable(result),
        "code": code,
        "sentence": error,
    }


def _storable(result: Any) -> Any:
    """A result as JSON, with null for NaN; None if it cannot be serialised: the work is done."""
    try:
        return from_json(to_json(result, inf_nan_mode="null"))
    except (PydanticSerializationError, ValueError):
        log.exception("the result of a job cannot be stored")
        return None
