"""The commands `jobs …`: what operators see of jobs and do with them, of whatever kind."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from backstay.application import application_in_use
from backstay.cli.operators import operator_here, sender_of
from backstay.cli.output import print_columns
from backstay.cli.readiness import opened
from backstay.composition import Backstay
from backstay.core.errors import AppError, NotFound
from backstay.core.jobs import JobState
from backstay.core.listing import MAX_ROWS, CursorPage
from backstay.features.system.commands.jobs import CancelJob, RetryJob
from backstay.features.system.queries.jobs import GetJob, ListJobs
from backstay.features.system.schemas.jobs import JobDetail, JobSummary
from backstay.features.users.queries.accounts import FindAccount

T = TypeVar("T")

jobs = typer.Typer(
    name="jobs", help="Look at jobs, run failed ones again, cancel others.", no_args_is_help=True
)

_HEADER = ("ID", "STATE", "NAME", "QUEUE", "ATTEMPTS", "CREATED", "ERROR")

_WORDS = {
    "max_attempts": "most attempts",
    "uncounted_attempts": "attempts that do not count",
    "is_cancelled": "asked to stop",
    "actor": "runs as",
    "created_at": "created",
    "started_at": "started",
    "finished_at": "finished",
}
"""What `show` calls fields whose names say too little."""

Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Ids, as `list` shows them.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str | None, typer.Option(help="Only those of this command, such as SendMail.")]
Queue = Annotated[str | None, typer.Option(help="Only those of this queue.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before several jobs are changed.")]


@jobs.command("list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option(help="Only those in this state.")] = None,
    name: Name = None,
    queue: Queue = None,
    user: Annotated[
        str | None, typer.Option(help="Only those of this user: id, e-mail address or username.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""

    async def found(backstay: Backstay) -> list[JobSummary]:
        user_id = await _user_id(backstay, user) if user is not None else None
        return await _listed(
            backstay, limit + 1, state=state, name=name, queue=queue, user_id=user_id
        )

    jobs = _run(found)
    shown = jobs[:limit]
    if as_json:
        typer.echo(json.dumps([each.model_dump(mode="json") for each in shown], indent=2))
    elif shown:
        print_columns([_HEADER, *map(_row, shown)], header=True)
    else:
        typer.echo("There is no such job." if any((state, name, queue, user)) else "No jobs.")
    if len(jobs) > limit:
        typer.echo(f"There are more than {limit}: see them with --limit.", err=True)


@jobs.command()
def show(
    job_id: Annotated[UUID, typer.Argument(metavar="ID", help="The id, as `list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show a job: what it is about, without secrets, its attempts, times and error."""
    job: JobDetail = _run(lambda backstay: backstay.system(GetJob(id=job_id)))
    if as_json:
        typer.echo(job.model_dump_json(indent=2))
    else:
        words = {**_WORDS, "due_at": "lease until" if job.state is JobState.RUNNING else "due"}
        print_columns(
            [
                (words.get(name, name.replace("_", " ")), _shown(value))
                for name, value in job
                if value is not None
            ]
        )


@jobs.command()
def retry(
    ids: Ids = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="All that have failed, of --name and --queue if given.")
    ] = False,
    name: Name = None,
    queue: Queue = None,
    yes: Yes = False,
) -> None:
    """Run jobs again that failed or were cancelled."""
    if bool(ids) == dead:
        raise typer.BadParameter("Name ids, or say --dead for all that have failed.")
    if not dead and (name or queue):
        raise typer.BadParameter("--name and --queue narrow down --dead: they do not go with ids.")

    async def failed(backstay: Backstay) -> list[UUID]:
        dead = await _listed(backstay, sys.maxsize, state=JobState.FAILED, name=name, queue=queue)
        return [job.id for job in reversed(dead)]

    async def again(backstay: Backstay, job_id: UUID) -> str:
        await sender_of(backstay, operator_here())(RetryJob(id=job_id))
        return "runs again"

    _change("Run again", ids or _run(failed), again, yes=yes)


@jobs.command()
def cancel(ids: Ids = None, yes: Yes = False) -> None:
    """Cancel jobs: those that wait at once, those that run within seconds."""
    if not ids:
        raise typer.BadParameter("Name the ids of the jobs.")

    async def stop(backstay: Backstay, job_id: UUID) -> str:
        job = await sender_of(backstay, operator_here())(CancelJob(id=job_id))
        is_over = job.state is JobState.CANCELLED
        return "cancelled" if is_over else "runs; it is asked to stop"

    _change("Cancel", ids, stop, yes=yes)


def _change(
    what: str,
    ids: Sequence[UUID],
    change: Callable[[Backstay, UUID], Awaitable[str]],
    *,
    yes: bool,
) -> None:
    """Change jobs one by one, so that each has a row in the audit trail and a failure is its own.

    Raises:
        Exit: with 1, if any could not be changed.
    """
    ids = list(dict.fromkeys(ids))
    if not ids:
        typer.echo("There is no such job.")
        return
    if len(ids) > 1 and not yes:
        _ask(f"{what} {len(ids)} jobs?")

    async def work(backstay: Backstay) -> int:
        failed = 0
        for job_id in ids:
            try:
                typer.echo(f"{job_id}  {await change(backstay, job_id)}")
            except AppError as error:
                failed += 1
                typer.echo(f"{job_id}  {error.detail}", err=True)
        return failed

    if _run(work):
        raise typer.Exit(1)


def _ask(question: str) -> None:
    """Ask outside of an event loop, in which Ctrl-C would not end the question.

    Raises:
        BadParameter: nobody can be asked.
        Abort: the answer is no.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Say --yes, as nobody can be asked here.")
    typer.confirm(question, abort=True)


async def _listed(backstay: Backstay, most: int, **filters: Any) -> list[JobSummary]:
    """The newest jobs, read page by page; a filter that is None is none."""
    given = {name: {"eq": value} for name, value in filters.items() if value is not None}
    found, cursor = list[JobSummary](), None
    while len(found) < most:
        limit = min(most - len(found), MAX_ROWS)
        asked = ListJobs.model_validate({**given, "limit": limit, "cursor": cursor})
        page = await backstay.system(asked)
        found += page.items
        cursor = page.next_cursor if isinstance(page, CursorPage) else None
        if cursor is None:
            break
    return found


async def _user_id(backstay: Backstay, user: str) -> UUID:
    try:
        return UUID(user)
    except ValueError:
        account = await backstay.system(FindAccount(login=user))
    if account is None:
        raise NotFound(f"There is no user {user}.")
    return account.id


def _row(job: JobSummary) -> tuple[str, ...]:
    state = f"{job.state} (stops)" if job.is_cancelled and job.finished_at is None else job.state
    attempts = f"{job.attempts}/{job.max_attempts}"
    created, error = _shown(job.created_at), job.error_code or "-"
    return str(job.id), str(state), job.name, job.queue, attempts, created, error


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds").replace("+00:00", "Z")
    return json.dumps(value) if isinstance(value, dict | list | bool) else str(value)


def _run(work: Callable[[Backstay], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        async with opened(settings) as backstay:
            return await work(backstay)

    settings = application_in_use().load_settings()
    return asyncio.run(run())
