"""Schedules: commands that the application sends itself, by periods or cron expressions."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cronsim import CronSim, CronSimError

from backstay.core.messages import Command

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PERIOD = re.compile(r"([1-9][0-9]{0,6})([smhd])", re.ASCII)


class Trigger(Protocol):
    """Divides time into slots; a scheduled command is sent once in each."""

    @property
    def fires_at_once(self) -> bool:
        """Whether a new schedule fires in the present slot, or waits for the next one."""
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
        return datetime.fromtimestamp(now.timestamp() // self.seconds * self.seconds, UTC)

    def next_slot(self, now: datetime) -> datetime:
        return self.slot(now) + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Cron:
    """Slots that begin when a cron expression matches, in UTC."""

    expression: str
    fires_at_once: bool = False

    def slot(self, now: datetime) -> datetime:
        end = now.replace(microsecond=0) + timedelta(seconds=1)
        return next(CronSim(self.expression, end, reverse=True))

    def next_slot(self, now: datetime) -> datetime:
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
        ValueError: the period does not have this form.
    """
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError(f"{period!r} is no period: write a number and s, m, h or d, such as 1h")
    seconds = int(match[1]) * _UNITS[match[2]]
    return Scheduled(name or type(command).__name__, command, Every(seconds))


def cron(expression: str, command: Command[Any], name: str = "") -> Scheduled:
    """Send a command when a cron expression matches, in UTC.

    Raises:
        ValueError: the expression is not valid, or never matches.
    """
    trigger = Cron(expression)
    try:
        trigger.next_slot(datetime.now(UTC))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{expression!r} is no cron expression that ever matches") from error
    return Scheduled(name or type(command).__name__, command, trigger)
