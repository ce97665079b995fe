"""The pipeline step that marks a job as done in the transaction of its command."""

import asyncio
from typing import Any

import aiosqlite
import structlog
from pydantic_core import PydanticSerializationError, from_json, to_json
from sqlalchemy import update

from backstay.core.bus import Next
from backstay.core.context import Context
from backstay.core.errors import Refusal
from backstay.core.jobs import JobRun, JobState, JobTimedOut, public_error
from backstay.core.messages import Command, Message
from backstay.db.session import Transaction
from backstay.jobs.store import NOW
from backstay.jobs.tables import Job

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

    async def run(context: Context) -> Any:
        job = context.origin.job
        if job is None or context.is_nested:
            return await call_next(context)
        result = await _in_time(context, call_next, message.job_timeout)
        held = update(Job).where(
            Job.id == job.id, Job.attempts == job.attempt, Job.state == JobState.RUNNING.value
        )
        ended = await context.unit.transaction.execute(
            held.values(_end(job, result)).execution_options(synchronize_session=False)
        )
        if not ended.rowcount:
            raise asyncio.CancelledError("another worker has taken the job over")
        return result

    return run


async def _in_time(context: Context, handle: Next, seconds: float) -> Any:
    """Run the handler and return its result, or cancel it when it takes too long.

    On SQLite a running statement is interrupted ``GRACE`` seconds before that: the driver would
    let a cancelled statement go on, and the statement would keep its lock.
    """
    session: Transaction = context.unit.transaction
    alarm = None
    driver = (await (await session.connection()).get_raw_connection()).driver_connection
    if isinstance(driver, aiosqlite.Connection):
        alarm = asyncio.create_task(_interrupt(driver, seconds))
    try:
        async with asyncio.timeout(seconds + GRACE) as limit:
            return await handle(context)
    except TimeoutError as error:
        if limit.expired():
            raise JobTimedOut from error
        raise
    finally:
        if alarm is not None:
            alarm.cancel()


async def _interrupt(driver: aiosqlite.Connection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await driver.interrupt()


def _end(job: JobRun, result: Any) -> dict[str, Any]:
    if isinstance(result, Refusal):
        code, error = public_error(result.error)
        return {
            "state": JobState.FAILED.value,
            "finished_at": NOW,
            "error_code": code,
            "error": error,
        }
    return {
        "state": JobState.SUCCEEDED.value,
        "finished_at": NOW,
        "progress": job.progress,
        "note": job.note,
        "result": _storable(result),
        "error_code": None,
        "error": None,
    }


def _storable(result: Any) -> Any:
    """A result as JSON, with null for NaN; None if it cannot be serialised: the work is done."""
    try:
        return from_json(to_json(result, inf_nan_mode="null"))
    except (PydanticSerializationError, ValueError):
        log.exception("the result of a job cannot be stored")
        return None
