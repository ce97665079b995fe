"""The pipeline step that ends a job in the transaction of its command."""

import asyncio
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import update

from backstay.core.bus import Next
from backstay.core.context import Context
from backstay.core.errors import Refused
from backstay.core.jobs import JobRun, JobState, told
from backstay.core.messages import Command, Message
from backstay.db.job_store import NOW
from backstay.db.jobs import Job


def finish_job(message: type[Message[Any]], call_next: Next) -> Next:
    """Mark the job that sent a command as done, inside of its transaction.

    Whoever lost the claim meanwhile keeps nothing of what the command did.
    """
    if not issubclass(message, Command):
        return call_next

    async def run(context: Context) -> Any:
        job = context.origin.job
        result = await call_next(context)
        if job is None or context.is_nested:
            return result
        held = update(Job).where(
            Job.id == job.id, Job.attempts == job.attempt, Job.state == JobState.RUNNING.value
        )
        ended = await context.transaction.execute(
            held.values(_end(job, result)).execution_options(synchronize_session=False)
        )
        if not ended.rowcount:
            raise asyncio.CancelledError("another worker has taken the job over")
        return result

    return run


def _end(job: JobRun, result: Any) -> dict[str, Any]:
    if isinstance(result, Refused):
        code, error = told(result.error)
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
        "result": to_jsonable_python(result),
        "error_code": None,
        "error": None,
    }
