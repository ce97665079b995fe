"""Schedules: commands that the application sends itself, by periods or cron expressions."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from cronsim import CronSim, CronSimError

from backstay.core.messages import Command

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PERIOD = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Every:
    """Slots of one length, in seconds, counted from 1970. A new schedule fires at once."""

    fires_at_once: ClassVar = True

    seconds: int

    def __str__(self) -> str:
        size, unit = max((size, unit) for unit, size in _UNITS.items() if self.seconds % size == 0)
        return f"every {self.seconds // size}{unit}"

    def slot(self, now: datetime) -> datetime:
        return datetime.fromtimestamp(now.timestamp() // self.seconds * self.seconds, UTC)

    def next_slot(self, now: datetime) -> datetime:
        return self.slot(now) + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class _Cron:
    """Slots that begin when a cron expression matches, in UTC. A new schedule waits for one."""

    fires_at_once: ClassVar = False

    expression: str

    def __str__(self) -> str:
        return f"cron {self.expression}"

    def slot(self, now: datetime) -> datetime:
        end = now.replace(microsecond=0) + timedelta(seconds=1)
        return next(CronSim(self.expression, end, reverse=True))

    def next_slot(self, now: datetime) -> datetime:
        return next(CronSim(self.expression, now))


@dataclass(frozen=True, slots=True)
class _Set:
    """Slots whose length a setting decides; `settled` puts `_Every` in its place."""

    fires_at_once: ClassVar = True

    seconds: Callable[[Any], int]

    def slot(self, now: datetime) -> datetime:
        raise LookupError("the settings decide the length of a slot, and were not read")

    def next_slot(self, now: datetime) -> datetime:
        return self.slot(now)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A command that the application sends itself, once per slot; ``name`` is unique.

    ``trigger`` divides time into slots: it tells the beginning of the one that a moment is in, and
    of the next.
    """

    name: str
    command: Command[Any]
    trigger: _Every | _Cron | _Set


def settled(schedule: Iterable[Scheduled], settings: Any) -> tuple[Scheduled, ...]:
    """A schedule with the periods that the settings have; those of 0 seconds are left out."""
    found: list[Scheduled] = []
    for each in schedule:
        if not isinstance(each.trigger, _Set):
            found.append(each)
        elif seconds := each.trigger.seconds(settings):
            found.append(replace(each, trigger=_Every(seconds)))
    return tuple(found)


def every(period: str | Callable[[Any], int], command: Command[Any], name: str = "") -> Scheduled:
    """Send a command once per period, such as ``30s``, ``5m``, ``1h``, ``1d``; first at once.

    A function gets the `Settings` and returns the period in seconds; with 0 nothing is sent.

    Raises:
        ValueError: the period does not have this form.
    """
    if callable(period):
        return Scheduled(name or type(command).__name__, command, _Set(period))
    return Scheduled(name or type(command).__name__, command, _Every(seconds_of(period)))


def seconds_of(period: str) -> int:
    """The seconds of a period such as ``30s``, ``5m``, ``1h``, ``1d``.

    Raises:
        ValueError: the period does not have this form.
    """
    match = _PERIOD.fullmatch(period)
    if match is None and re.fullmatch(r"0+[smhd]", period):
        raise ValueError(f"{period!r} must be longer than 0")
    if match is None:
        raise ValueError(f"{period!r} is no period: write a number and s, m, h or d, such as 1h")
    return int(match[1]) * _UNITS[match[2]]


def cron(expression: str, command: Command[Any], name: str = "") -> Scheduled:
    """Send a command when a cron expression matches, in UTC.

    Raises:
        ValueError: the expression is not valid, or never matches.
    """
    trigger = _Cron(expression)
    try:
        trigger.next_slot(datetime.now(UTC))
    except (CronSimError, StopIteration) as error:
        wrong = f"{expression!r} is no cron expression that ever matches"
        form = "write minute, hour, day, month and day of the week, such as 30 3 * * *"
        raise ValueError(f"{wrong}: {form}") from error
    return Scheduled(name or type(command).__name__, command, trigger)
