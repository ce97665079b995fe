"""What is done by the clock: once per slot in the whole cluster, however many workers there are."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

import structlog
from cronsim import CronSim, CronSimError

from backstay.core.clock import first_id_at, new_trace
from backstay.core.messages import Command
from backstay.core.outbox import Outbox
from backstay.core.principal import SYSTEM

log = structlog.get_logger("backstay.jobs")

LONGEST_NAP = 30.0
"""Seconds after which the database is asked for its time again, at most."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PERIOD = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)


class Trigger(Protocol):
    """Divides time into slots."""

    @property
    def fires_at_once(self) -> bool:
        """Whether a cluster that has never seen it fires, or waits for the next slot."""
        ...

    def slot(self, now: datetime) -> datetime:
        """The beginning of the slot that a moment is in."""
        ...

    def next_slot(self, now: datetime) -> datetime:
        """The beginning of the slot after that."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Slots of one length, in seconds, counted from 1970."""

    seconds: int
    fires_at_once: bool = True

    def slot(self, now: datetime) -> datetime:
        """The beginning of the slot that a moment is in."""
        return datetime.fromtimestamp(now.timestamp() // self.seconds * self.seconds, UTC)

    def next_slot(self, now: datetime) -> datetime:
        """The beginning of the slot after that."""
        return self.slot(now) + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Cron:
    """Slots that begin when a cron expression matches, in UTC."""

    expression: str
    fires_at_once: bool = False

    def slot(self, now: datetime) -> datetime:
        """The beginning of the slot that a moment is in."""
        end = now.replace(microsecond=0) + timedelta(seconds=1)
        return next(CronSim(self.expression, end, reverse=True))

    def next_slot(self, now: datetime) -> datetime:
        """The beginning of the slot after that."""
        return next(CronSim(self.expression, now))


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A command that the application sends itself, once per slot; ``name`` is unique."""

    name: str
    command: Command[Any]
    trigger: Trigger


def every(period: str, command: Command[Any], name: str = "") -> Scheduled:
    """Send a command once per period, such as ``30s``, ``5m``, ``1h``, ``1d``; first at once.

    Raises:
        ValueError: the period cannot be read.
    """
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError(f"{period!r} is no period: write a number and s, m, h or d, such as 1h")
    seconds = int(match[1]) * _UNITS[match[2]]
    return Scheduled(name or type(command).__name__, command, Every(seconds))


def cron(expression: str, command: Command[Any], name: str = "") -> Scheduled:
    """Send a command when a cron expression matches, in UTC.

    Raises:
        ValueError: the expression cannot be read, or never matches.
    """
    trigger = Cron(expression)
    try:
        trigger.next_slot(datetime.now(UTC))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{expression!r} is no cron expression that ever matches") from error
    return Scheduled(name or type(command).__name__, command, trigger)


class Scheduler:
    """Makes a job of each slot that has come. What was missed fires once."""

    def __init__(self, schedule: Sequence[Scheduled], outbox: Outbox) -> None:
        self._schedule = schedule
        self._outbox = outbox
        self._is_lost = False

    async def work(self) -> None:
        """Fire until cancelled."""
        while True:
            try:
                nap = await self.tick()
                self._is_lost = False
            except Exception as error:
                if not self._is_lost:
                    log.warning("schedules cannot be looked at", fault=error)
                self._is_lost, nap = True, 1.0
            await asyncio.sleep(nap)

    async def tick(self) -> float:
        """Fire what is due; seconds until the next slot. Only the database's time counts."""
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
            told = {"schedule": each.name, "last": last.isoformat()}
            log.warning("schedule fired in the future: a clock was wrong; it begins anew", **told)
            await store.forget(each.name, after=following)
            last = None
        if last is None and not each.trigger.fires_at_once:
            await store.see(each.name, slot)
        elif last is None or last < slot:
            await self._fire(each, slot)

    async def _fire(self, each: Scheduled, slot: datetime) -> None:
        request_id, traceparent = new_trace()
        job = self._outbox.new(
            each.command,
            SYSTEM,
            id=id_of(each.name, slot),
            unique_key=f"schedule:{each.name}",
            request_id=request_id,
            traceparent=traceparent,
        )
        if await self._outbox.store.fire(each.name, slot, job):
            log.info("schedule fired", schedule=each.name, slot=slot.isoformat())
            self._outbox.wake(job.id)


def id_of(name: str, slot: datetime) -> UUID:
    """The id of the job of a slot, the same for everybody: UUIDv7, of that moment (RFC 9562)."""
    digest = int.from_bytes(blake2b(name.encode(), digest_size=10).digest())
    return UUID(int=first_id_at(slot).int | digest & ~(0xF << 76 | 3 << 62) | 7 << 76 | 2 << 62)
