"""Keeps an outage from filling the log: a repeated error is logged once per period and counted."""

import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any

from structlog import DropEvent
from structlog.typing import EventDict, WrappedLogger

from backstay.core.causes import cause_of, kind_of

PERIOD = 60.0
"""Seconds during which a logged error is only counted if it happens again."""
MOST = 200
"""How many errors are tracked at once; beyond that, the period of the oldest one ends."""

Tell = Callable[[str, EventDict], None]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


@dataclass(slots=True)
class _Logged:
    """An event that was logged, and how often it was suppressed since."""

    name: str
    event: EventDict
    since: float
    more: int = 0


class Repeats:
    """A structlog processor that suppresses repeated errors.

    Two errors are the same if their root cause has the same type and was raised in the same line of
    code, and if their events have the same text.

    An event carries its error as ``exc_info``, or as ``fault`` if the code is not to blame; both
    are logged with the traceback. A repeat within ``PERIOD`` is dropped and counted. The count is
    logged with ``tell``: before the first event after the period, or by `settle`.
    """

    def __init__(self, tell: Tell, clock: Callable[[], float] = monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._logged: dict[Hashable, _Logged] = {}
        # garbage collection under the lock may log an error in the same thread
        self._lock = RLock()

    def __call__(self, _: WrappedLogger, name: str, event: EventDict) -> EventDict:
        """The event; raises DropEvent if it is a repeat."""
        error = _error_of(event)
        same = event.pop("same", event["event"] if error is not None else None)
        if error is not None:
            event["exc_info"] = error
            event.setdefault("reason", cause_of(error))
        key = None if same is None else (same, None if error is None else kind_of(error))
        with self._lock:
            is_new = self._is_new(key)
            over = self._take(self._over())
            if is_new and key is not None:
                brief = {k: v for k, v in event.items() if k in {"event", "reason", "logger"}}
                self._logged[key] = _Logged(name, brief, self._clock())
                over += self._take(list(self._logged)[:-MOST])
        self._report(over)
        if not is_new:
            raise DropEvent
        return event

    def settle(self) -> None:
        """Log the counts of all repeats until now."""
        with self._lock:
            over = self._take(list(self._logged))
        self._report(over)

    def _is_new(self, key: Hashable) -> bool:
        logged = self._logged.get(key)
        if logged is None or self._clock() - logged.since >= PERIOD:
            return True
        logged.more += 1
        return False

    def _over(self) -> list[Hashable]:
        now = self._clock()
        return [key for key, logged in list(self._logged.items()) if now - logged.since >= PERIOD]

    def _take(self, keys: Iterable[Hashable]) -> list[_Logged]:
        taken = [self._logged.pop(key, None) for key in keys]
        return [logged for logged in taken if logged is not None]

    def _report(self, over: Iterable[_Logged]) -> None:
        for logged in over:
            if logged.more:
                seconds = round(self._clock() - logged.since)
                self._tell(logged.name, {**logged.event, "more": logged.more, "seconds": seconds})


def _error_of(event: EventDict) -> BaseException | None:
    """The error of an event, in any form that `logging` accepts."""
    given: Any = event.pop("fault", None) or event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        given = given[1]
    return given if isinstance(given, BaseException) else None
