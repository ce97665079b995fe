"""Stores jobs, and events as jobs, in the transaction of the handler that asks for them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from backstay.core.bus import check_allowed, handles
from backstay.core.context import Context
from backstay.core.events import Event, Reaction, Subscriptions
from backstay.core.jobs import MAX_ATTEMPTS, JobNotifier, JobRun, JobStore, NewJob
from backstay.core.masking import secret_fields
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.principal import SYSTEM, Principal
from backstay.core.registry import Provider
from backstay.core.tracing import NO_TRACER, SpanKind, Tracer
from backstay.core.uploads import upload_fields

log = structlog.get_logger("backstay.jobs")


@dataclass(frozen=True, slots=True)
class Outbox:
    """Stores jobs and wakes workers; one per application. ``commands`` can become jobs."""

    store: JobStore
    commands: Mapping[str, type[Command[Any]]]
    subscriptions: Subscriptions
    job_notifiers: tuple[JobNotifier, ...] = ()
    tracer: Tracer = NO_TRACER
    _waiting: set[asyncio.Event] = field(default_factory=set, init=False, compare=False)

    def fault(self, command: type[Command[Any]]) -> str | None:
        """Why a command cannot become a job, or None."""
        name = command.__name__
        if self.commands.get(name) is not command:
            return f"{name} cannot be a job: no feature handles it"
        for secret in secret_fields(command):
            return f"{name} cannot be a job: its field `{secret}` is a secret, jobs are stored"
        for upload in upload_fields(command):
            return f"{name} cannot be a job: its field `{upload}` lasts as long as its request"
        return None

    def new(self, command: Command[Any], principal: Principal, **options: Any) -> NewJob:
        """Make a job of a command; ``options`` are fields of :class:`NewJob`.

        Raises:
            TypeError: the command holds a secret, or no feature of this application handles it.
        """
        if fault := self.fault(type(command)):
            raise TypeError(fault)
        return NewJob(
            type(command).__name__,
            command.model_dump_json(exclude_unset=True, by_alias=True),
            principal.kind,
            principal.user_id,
            **{"queue": type(command).job_queue, **options},
        )

    def load(self, run: JobRun) -> Command[Any]:
        """The command of a job; for :class:`AnswerEvent`, the command that the subscriber returns.

        Raises:
            ValidationError: it does not fit this version of the command or event.
            KeyError: the subscription, or the kind of event, no longer exists.
        """
        command = self.commands[run.name].model_validate_json(run.payload)
        if not isinstance(command, AnswerEvent):
            return command
        asked = command.subscription, command.kind, command.event
        return self.subscriptions.answer(*asked) or command

    async def put(self, context: Context, job: NewJob) -> UUID:
        """Store a job in the transaction of a message, and wake workers after the commit."""
        with self.tracer.span(f"enqueue {job.name}", SpanKind.PRODUCER) as span:
            return await self._put(context, job, span.traceparent)

    async def _put(self, context: Context, job: NewJob, traceparent: str) -> UUID:
        origin = context.origin
        job = replace(
            job,
            request_id=origin.request_id,
            address=origin.address,
            traceparent=traceparent or origin.traceparent,
        )
        unit = context.unit
        if job.unique_key is None and job.sequence is None and not unit.transaction.is_in_use:
            unit.pending += self.store.inserting(job)
            job_id = job.id
        else:
            job_id = await self.store.insert(unit.transaction, job)
        if job.sequence is not None and job_id == job.id:
            if not unit.in_sequence:
                line_up = partial(self.store.line_up, unit.transaction, unit.in_sequence)
                unit.before_commit.append(line_up)
            unit.in_sequence.append(job_id)
        self.wake_after(context, job_id)
        return job_id

    def wake_after(self, context: Context, job_id: UUID) -> None:
        """Wake workers after the commit of the current transaction."""

        async def wake() -> None:
            self.wake(job_id)

        context.unit.after_commit.append(wake)

    def wake(self, job_id: UUID) -> None:
        """Wake workers in this process, and in others, for a stored job."""
        self.notify()
        for job_notifier in self.job_notifiers:
            job_notifier.publish(job_id)

    def notify(self) -> None:
        """Wake the tasks in this process that wait, because there may be work."""
        for event in self._waiting:
            event.set()

    def subscribe(self) -> asyncio.Event:
        """An event that every call of :meth:`notify` sets from now on."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Stop setting an event."""
        self._waiting.discard(event)

    def providers(self) -> dict[Any, Provider]:
        """What the handler of a command can take as a parameter, by type."""
        return {
            Outbox: lambda context: self,
            Jobs: lambda context: Jobs(self, context),
            Events: lambda context: Events(self, context),
        }


class Jobs:
    """Enqueues commands on behalf of one principal, in the current transaction."""

    __slots__ = ("_context", "_outbox", "_principal")

    def __init__(
        self, outbox: Outbox, context: Context, principal: Principal | None = None
    ) -> None:
        self._outbox = outbox
        self._context = context
        self._principal = principal or context.principal

    async def enqueue(
        self,
        command: Command[Any],
        *,
        delay: float = 0.0,
        unique: str | None = None,
        queue: str | None = None,
        attempts: int = MAX_ATTEMPTS,
    ) -> UUID:
        """Store a command that a worker sends after the commit, as this principal.

        It is authorised now, and again when it runs, with the grants that the principal has then.
        Returns the id of the job.

        Args:
            delay: seconds to wait at least.
            unique: while a job of this command with the same key is unfinished, no other is stored
                and the id of that one is returned.
            queue: the queue of the job, instead of the command's ``job_queue``.
            attempts: how often it may fail before it is given up.

        Raises:
            AppError: the principal may not send it.
            TypeError: the command holds a secret, or no feature handles it.
        """
        kind = type(command)
        job = self._outbox.new(
            command,
            self._principal,
            queue=queue or kind.job_queue,
            delay=delay,
            max_attempts=attempts,
            unique_key=None if unique is None else f"{kind.__name__}:{unique}",
        )
        sender = self._context.sender
        await check_allowed(Context(command, self._principal, self._context.origin, sender))
        return await self._outbox.put(self._context, job)

    async def wake(self, job_id: UUID) -> None:
        """Wake workers, after the commit, for a job that may run again."""
        await self._outbox.store.announce(self._context.unit.transaction, job_id)
        self._outbox.wake_after(self._context, job_id)

    def as_system(self) -> "Jobs":
        """The same, but its commands run as the application itself."""
        return Jobs(self._outbox, self._context, SYSTEM)


class Events:
    """Publishes events in the transaction in which they happen."""

    __slots__ = ("_context", "_outbox")

    def __init__(self, outbox: Outbox, context: Context) -> None:
        self._outbox = outbox
        self._context = context

    async def publish(self, event: Event) -> None:
        """Store one job per subscriber; jobs about the same aggregate run in the published order.

        A subscriber that fails gets a job, too, which calls it again.
        """
        subscriptions, unit = self._outbox.subscriptions, self._context.unit_of_work
        if unit is not None:
            unit.after_commit.append(partial(subscriptions.committed, event))
        for name, react in subscriptions.of(event):
            about = f"{name}:{getattr(event, event.aggregate)}"
            key = f"{name}:{event.event_id}"
            job = self._job(name, react, event, sequence=about, unique_key=key)
            if job is not None:
                await self._outbox.put(self._context, job)

    def _job(self, name: str, react: Reaction[Any], event: Event, **options: Any) -> NewJob | None:
        kind = type(event).__name__
        try:
            command = react(event)
            return None if command is None else self._outbox.new(command, SYSTEM, **options)
        except Exception:
            log.exception("subscriber failed", subscription=name, event_type=kind)
            stored = event.model_dump(mode="json")
            again = AnswerEvent(subscription=name, kind=kind, event=stored)
            return self._outbox.new(again, SYSTEM, **options)


class AnswerEvent(Command[None]):
    """Asks a subscriber once more that failed when its event was published.

    The worker of such a job sends the command that the subscriber returns, or this one where it
    returns none.
    """

    permission = SYSTEM_ONLY

    subscription: str
    kind: str
    event: dict[str, Any]


@handles(AnswerEvent)
async def answer_event(command: AnswerEvent) -> None:
    """Nothing to do: the subscriber returned no command."""
