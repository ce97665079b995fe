"""The scheduler: one job per slot of a schedule in the whole cluster, however many workers run."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from os import urandom
from uuid import UUID

import structlog

from backstay.core.clock import first_id_at
from backstay.core.maintenance import IsPaused, never
from backstay.core.principal import SYSTEM
from backstay.core.schedule import Scheduled
from backstay.core.tracing import SpanKind
from backstay.jobs.outbox import Outbox

log = structlog.get_logger("backstay.jobs")

PAUSED_NAP = 1.0
"""Seconds between two looks whether schedules may fire again."""
LONGEST_NAP = 30.0
"""Seconds after which, at the latest, the scheduler reads the database's time again."""


class Scheduler:
    """Stores a job for each slot that has begun. Several missed slots together get one job."""

    def __init__(
        self, schedule: Sequence[Scheduled], outbox: Outbox, is_paused: IsPaused = never
    ) -> None:
        self._schedule = schedule
        self._is_paused = is_paused
        self._outbox = outbox
        self._is_lost = False

    async def work(self) -> None:
        """Fire until cancelled, except while jobs pause: one slot then stands for all missed."""
        while True:
            try:
                nap = PAUSED_NAP if await self._is_paused() else await self.tick()
                self._is_lost = False
            except Exception as error:
                if not self._is_lost:
                    log.warning("schedules cannot be looked at", fault=error)
                self._is_lost, nap = True, 1.0
            await asyncio.sleep(nap)

    async def tick(self) -> float:
        """Fire the schedules that are due, and return the seconds until the next slot.

        Only the database's clock counts.
        """
        now, last = await self._outbox.store.slots()
        naps = [LONGEST_NAP]
        for each in self._schedule:
            try:
                following = each.trigger.next_slot(now)
                naps.append(0.05 + (following - now).total_seconds())
                await self._look_at(each, last.get(each.name), now, following)
            except Exception:
                log.exception("schedule cannot be fired", schedule=each.name)
        return min(naps)

    async def _look_at(
        self, each: Scheduled, last: datetime | None, now: datetime, following: datetime
    ) -> None:
        store, slot = self._outbox.store, each.trigger.slot(now)
        if last is not None and last > following:
            about = {"schedule": each.name, "last": last.isoformat()}
            log.warning("schedule fired in the future: a clock was wrong; it begins anew", **about)
            await store.forget(each.name, after=following)
            last = None
        if last is None and not each.trigger.fires_at_once:
            await store.see(each.name, slot)
        elif last is None or last < slot:
            await self.fire(each, slot)

    async def fire(self, each: Scheduled, slot: datetime) -> bool:
        """Store the job of a slot, unless that of an earlier slot is unfinished; whether it did."""
        name = f"schedule {each.name}"
        with self._outbox.tracer.span(name, SpanKind.PRODUCER, parent="") as span:
            has_fired = await self._fire(each, slot, span.traceparent or _new_trace())
            if not has_fired:  # another process has
                span.drop()
        return has_fired

    async def _fire(self, each: Scheduled, slot: datetime, trace: str) -> bool:
        job = self._outbox.new(
            each.command,
            SYSTEM,
            id=id_of(each.name, slot),
            unique_key=f"schedule:{each.name}",
            request_id=trace[3:35],
            traceparent=trace,
        )
        if not await self._outbox.store.fire(each.name, slot, job):
            return False
        log.info("schedule fired", schedule=each.name, slot=slot.isoformat())
        self._outbox.wake(job.id)
        return True


def _new_trace() -> str:
    chosen = urandom(24).hex()
    return f"00-{chosen[:32]}-{chosen[32:]}-00"


def id_of(name: str, slot: datetime) -> UUID:
    """The id of a slot's job, a UUIDv7 of that moment (RFC 9562), equal in every process."""
    digest = int.from_bytes(blake2b(name.encode(), digest_size=10).digest())
    return UUID(int=first_id_at(slot).int | digest & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62)
