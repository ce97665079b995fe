"""What a worker claims before it has a slot for it, so that short jobs do not wait for claims."""

from collections import deque
from time import monotonic

from backstay.core.jobs import JobRun

HORIZON = 0.1
"""Seconds of work, at the present pace, that a worker claims ahead."""
PATIENCE = 1.0
"""Seconds without the end of a run, after which those that wait are given back."""
TIMES = 3
"""At most so many times its slots."""


class Ahead:
    """Runs that wait for a slot of their worker, in the order of their claims.

    There are as many as have ended within the last ``HORIZON``: a worker whose jobs take long
    claims none ahead, since they would wait here while other workers are idle.
    """

    def __init__(self, slots: int) -> None:
        self.waiting: deque[JobRun] = deque()
        self._slots = slots
        self._ends: deque[float] = deque(maxlen=TIMES * slots)

    def ended(self) -> None:
        """Note that a run has ended."""
        self._ends.append(monotonic())

    @property
    def is_short(self) -> bool:
        """Whether more should be claimed, if there is :meth:`room`: fewer wait than have slots."""
        return len(self.waiting) < self._slots

    def room(self) -> int:
        """How many to claim now beyond the free slots."""
        if not self.is_short:
            return 0
        after = monotonic() - HORIZON
        return max(0, sum(end > after for end in self._ends) - len(self.waiting))

    def take(self) -> list[JobRun]:
        """Take all runs: the worker stops."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken

    def overdue(self) -> list[JobRun]:
        """Take all runs, if none has ended for ``PATIENCE``: every slot has a job that is long."""
        is_stuck = not self._ends or monotonic() - self._ends[-1] > PATIENCE
        return self.take() if is_stuck else []

    def drop(self, runs: list[JobRun]) -> None:
        """Remove runs that are not to be started."""
        gone = {run.id for run in runs}
        self.waiting = deque(run for run in self.waiting if run.id not in gone)
