"""Granian's parent, which replaces a worker when that says so and once another one serves.

Granian itself would look at the memory of each worker, and wait for a time.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from granian.server.mp import MPServer, WorkerProcess

from backstay.core.runtime_dir import FOLDER
from backstay.server.closing import LEAVE
from backstay.server.worker import REPLACE, STARTED

_GLANCE = 0.05
_AGAIN_SECONDS = 2.0
"""How long after a worker that could not start in the place of another one the next one does."""


def _leave(worker: Any) -> None:
    """Tell a worker to close its door and then to end: each has a socket of its own."""
    worker.interrupt_by_parent = True
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.inner.pid, LEAVE)


WorkerProcess.terminate = _leave  # type: ignore[method-assign]


class Granian(MPServer):
    """Starts, replaces and stops workers."""

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, and hear them."""
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        if not self.reload_on_changes:
            threading.Thread(target=self._hear_workers, daemon=True).start()

    def _hear_workers(self) -> None:
        while signal.sigwait({REPLACE}):  # a handler could meet the lock that its set() takes
            self.rss_signal = True
            self.main_loop_interrupt.set()

    def _watch_workers_rss(self) -> None:
        """Nobody is looked at: a worker tells."""

    def _handle_rss_signal(self, spawn_target: Any, target_loader: Any) -> None:
        for worker in list(self.wrks):
            asked = Path(os.environ[FOLDER]) / str(worker.inner.pid)
            if asked.exists():
                asked.unlink()
                self._respawn_workers([worker.idx], spawn_target, target_loader)

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        """Stop each once another one serves in its place: until one does, it is tried again."""
        for idx in workers:
            self.respawned_wrks[idx] = time.monotonic()
            old: Any = self.wrks[idx]
            while not self._is_replaced(old, self._spawn_worker(idx, spawn_target, target_loader)):
                self._wait(partial(_has_ended, old), _AGAIN_SECONDS)
            old.terminate()
            old.join(self.workers_kill_timeout)
            if old.is_alive():
                old.kill()
                old.join()

    def _is_replaced(self, old: Any, new: Any) -> bool:
        """Start another one. If it fails while the old one serves, that is no crash, of which two
        in a row end the server: the database may be away."""
        self.wrks[old.idx] = new
        new.interrupt_by_parent = is_spared = old.is_alive()
        new.start()
        started = Path(os.environ[FOLDER]) / f"{STARTED}{new.inner.pid}"
        self._wait(
            lambda: (
                started.exists()
                or not (started.parent.exists() and new.is_alive() and old.is_alive())
            )
        )
        started.unlink(missing_ok=True)  # numbers of processes come again
        new.interrupt_by_parent = False
        return self.interrupt_signal or new.is_alive() or not is_spared

    def _wait(self, is_over: Callable[[], bool], seconds: float = inf) -> None:
        end = time.monotonic() + seconds
        while not (self.interrupt_signal or is_over() or time.monotonic() >= end):
            time.sleep(_GLANCE)


def _has_ended(worker: Any) -> bool:
    return not worker.is_alive()
