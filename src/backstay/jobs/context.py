"""What workers are given: services, the schedule, and how long they wait for work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from backstay.core.bus import Bus
from backstay.core.errors import Unauthenticated
from backstay.core.jobs import JobRun
from backstay.core.maintenance import IsPaused, never
from backstay.core.principal import STRANGER, SYSTEM, Principal
from backstay.core.schedule import Scheduled
from backstay.jobs.outbox import Outbox


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What every worker of an application needs. The intervals are in seconds.

    Attributes:
        principal_of: returns a user as they are now, or None when they may not sign in.
        observe: is called with the name, the outcome and the seconds of each run.
        is_paused: whether nothing is to be claimed or scheduled now; what runs is finished.
        lease: how long a claim holds without a heartbeat; then the job counts as lost.
        beat: between two heartbeats.
        poll: between two polls for work while no notifier works.
        idle: between two polls while a notifier works.
        rest: before the next try after the database did not answer.
        tries: a number: after so many failures in a row :meth:`Worker.drain` gives up.
    """

    outbox: Outbox
    bus: Bus
    principal_of: Callable[[UUID], Awaitable[Principal | None]]
    observe: Callable[[str, str, float], None]
    schedule: tuple[Scheduled, ...] = ()
    is_paused: IsPaused = never
    lease: float = 15.0
    beat: float = 1.0
    poll: float = 1.0
    idle: float = 5.0
    rest: float = 1.0
    tries: int = 5

    async def principal(self, run: JobRun) -> Principal:
        """Whoever asked for a job, as they are now.

        Raises:
            Unauthenticated: they may not sign in any more.
        """
        if run.actor == SYSTEM.kind:
            return SYSTEM
        if run.user_id is None:
            return STRANGER
        principal = await self.principal_of(run.user_id)
        if principal is None:
            raise Unauthenticated("Whoever asked for it may no longer sign in.")
        return principal
