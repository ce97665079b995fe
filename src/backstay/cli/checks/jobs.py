"""The checks of jobs: whether workers run them, fire schedules, and hear of new ones."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select

from backstay.cli.checks.database import SCHEMA
from backstay.cli.checks.finding import Finding, check, error, note, ok, warning
from backstay.cli.checks.subject import Subject
from backstay.core.jobs import Backlog, JobState
from backstay.core.schedule import Scheduled
from backstay.db.base import SecondsFromNow
from backstay.jobs.statements import NOW
from backstay.jobs.tables import UNFINISHED, Job
from backstay.observability.health import LATE_SECONDS

_OVERDUE = timedelta(minutes=5)
"""How long after the beginning of a slot its job should exist; as the alert says."""
_DAY = 86_400.0
_WORKER = "Start one: backstay worker"

_DEAD = (
    select(Job.name, Job.error_code, func.count())
    .where(Job.state == JobState.FAILED.value, Job.finished_at > SecondsFromNow(-_DAY))
    .group_by(Job.name, Job.error_code)
)
_LOST = select(func.count()).where(Job.state == JobState.RUNNING.value, Job.due_at < NOW)
_UNFINISHED = select(Job.name, func.count()).where(UNFINISHED).group_by(Job.name)


@check("jobs.waiting", "DB_", after=SCHEMA)
async def waiting(subject: Subject) -> list[Finding]:
    """Whether workers claim what may run."""
    if subject.backstay is None:
        return []
    if paused := await _paused(subject):
        return paused
    backlog = await subject.backstay.worker_context.outbox.store.backlog()
    return [waiting_finding(backlog)]


async def _paused(subject: Subject) -> list[Finding]:
    """What to say while jobs and schedules wait for the end of maintenance."""
    if subject.backstay is None or not await subject.backstay.maintenance.is_on():
        return []
    return [note("Maintenance is on: no job begins.", "To end it: backstay maintenance off")]


def waiting_finding(backlog: Sequence[Backlog]) -> Finding:
    """What to say of the queues."""
    late = [each for each in backlog if each.oldest > LATE_SECONDS]
    if not late:
        return ok(f"{sum(each.depth for each in backlog)} jobs wait, none for long")
    told = ", ".join(f"{each.depth} of {each.queue} for {each.oldest:.0f} s" for each in late)
    mend = f"No worker claims them, or too few do. {_WORKER}"
    return error(f"Jobs have waited: {told}.", mend)


@check("jobs.failed", "DB_", after=SCHEMA)
async def failed(subject: Subject) -> list[Finding]:
    """The jobs that were given up within a day."""
    rows = await subject.database.reader.rows(_DEAD)
    if not rows:
        return [ok("none within a day")]
    counts = Counter({f"{name} ({code})": number for name, code, number in rows})
    told = ", ".join(f"{number} {what}" for what, number in counts.most_common(3))
    more = f", and {len(counts) - 3} other kinds" if len(counts) > 3 else ""
    mend = "See backstay jobs list --state failed; then: backstay jobs retry --dead"
    return [warning(f"Jobs were given up within a day: {told}{more}.", mend)]


@check("jobs.lost", "DB_", after=SCHEMA)
async def lost(subject: Subject) -> list[Finding]:
    """The jobs whose worker has disappeared, and that no other one has taken over."""
    number = await subject.database.reader.scalar(_LOST)
    if not number:
        return [ok("none")]
    told = f"{number} jobs are not held by any worker any more: it was killed."
    return [warning(told, f"Another worker repeats them. {_WORKER}")]


@check("jobs.unknown", "DB_", after=SCHEMA)
async def unknown(subject: Subject) -> list[Finding]:
    """The jobs that no worker of this version can run."""
    if subject.backstay is None:
        return []
    commands = subject.backstay.worker_context.outbox.commands
    rows = await subject.database.reader.rows(_UNFINISHED)
    names = [f"{number} {name}" for name, number in rows if name not in commands]
    if not names:
        return [ok("none")]
    mend = "Start a worker of the version that stored them; after a day they fail."
    return [warning(f"This version does not know the commands of jobs: {', '.join(names)}.", mend)]


@check("jobs.schedules", "DB_", after=SCHEMA)
async def schedules(subject: Subject) -> list[Finding]:
    """Whether they fire, which any worker does; so it shows whether one is alive."""
    if subject.backstay is None:
        return []
    if paused := await _paused(subject):
        return paused
    plan = subject.backstay.worker_context.schedule
    now, slots = await subject.backstay.worker_context.outbox.store.slots()
    return [schedules_finding(plan, now, slots, local=subject.is_local)]


def schedules_finding(
    plan: Sequence[Scheduled], now: datetime, slots: dict[str, datetime], *, local: bool
) -> Finding:
    """What to say of the last slots of schedules."""
    if not plan:
        return ok("there are none")
    if not slots:
        mend = "backstay serve runs jobs, too, in `local`." if local else _WORKER
        told = "No worker has run here yet."
        return note(told, mend) if local else warning(told, mend)
    late = [
        each.name
        for each in plan
        if each.name in slots and each.trigger.next_slot(slots[each.name]) + _OVERDUE < now
    ]
    if not late:
        return ok(f"{len(plan)} fire")
    told = f"Overdue, so that no worker seems to be alive: {', '.join(late)}."
    return note(told, "It is no fault while nothing runs.") if local else error(told, _WORKER)


@check("jobs.broker", "QUEUE_", seconds=8, mend="See that it runs, and that QUEUE_URL is right.")
async def broker(subject: Subject) -> list[Finding]:
    """Whether the broker takes connections; without it, jobs are polled for."""
    url = subject.settings.queue.url
    if url is None:
        return []
    from backstay.jobs.notify import reach_broker

    kind = urlsplit(url.get_secret_value()).scheme
    try:
        await reach_broker(url.get_secret_value())
    except Exception as failure:  # brokers have errors of their own; their texts may hold passwords
        told = f"The broker ({kind}) cannot be reached ({type(failure).__name__}): jobs start late."
        return [error(told, "See that it runs, and that QUEUE_URL is right.")]
    return [ok(kind)]
