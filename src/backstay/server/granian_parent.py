"""Granian's parent process, which replaces a worker on the worker's request.

The old worker ends once a new one serves. Granian itself replaces workers by their memory use, and
waits for a fixed time instead.
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

from backstay.core.runtime_dir import FOLDER, REFUSED, STARTED, refused_at_start
from backstay.server.closing import LEAVE
from backstay.server.worker import REPLACE

_POLL_SECONDS = 0.05
_RETRY_SECONDS = 2.0
"""How long to wait after a replacement failed to start, before the next attempt."""


def _leave(worker: Any) -> None:
    """Tell a worker to stop accepting and then to end: each worker has its own socket."""
    worker.interrupt_by_parent = True
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.inner.pid, LEAVE)


WorkerProcess.terminate = _leave  # type: ignore[method-assign]


class Granian(MPServer):
    """Starts, replaces and stops workers."""

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, and listen for their requests to be replaced."""
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        if not self.reload_on_changes:
            threading.Thread(target=self._listen_to_workers, daemon=True).start()

    @property
    def respawn_failed_workers(self) -> bool:
        """Whether workers that ended are started again: not if none could start at first."""
        return not refused_at_start()

    @respawn_failed_workers.setter
    def respawn_failed_workers(self, wanted: bool) -> None:
        """Ignore what granian was told."""

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:  # type: ignore[override]
        if self.reload_on_changes:  # each attempt says what is wrong with the changed files
            (Path(os.environ[FOLDER]) / REFUSED).unlink(missing_ok=True)
        return super()._spawn_worker(idx, target, callback_loader)

    def _listen_to_workers(self) -> None:
        # sigwait, because set() in a signal handler could deadlock
        while signal.sigwait({REPLACE}):
            self.rss_signal = True
            self.main_loop_interrupt.set()

    def _watch_workers_rss(self) -> None:
        """Do nothing: workers ask to be replaced; their memory use is not watched."""

    def _handle_rss_signal(self, spawn_target: Any, target_loader: Any) -> None:
        for worker in list(self.wrks):
            asked = Path(os.environ[FOLDER]) / str(worker.inner.pid)
            if asked.exists():
                asked.unlink()
                self._respawn_workers([worker.idx], spawn_target, target_loader)

    def _respawn_workers(
        self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0
    ) -> None:
        """Replace workers: stop each one once a new one serves, and try again until one does."""
        for idx in workers:
            self.respawned_wrks[idx] = time.monotonic()
            old: Any = self.wrks[idx]
            while not self._is_replaced(old, self._spawn_worker(idx, spawn_target, target_loader)):
                self._wait(partial(_has_ended, old), _RETRY_SECONDS)
            old.terminate()
            old.join(self.workers_kill_timeout)
            if old.is_alive():
                old.kill()
                old.join()

    def _is_replaced(self, old: Any, new: Any) -> bool:
        """Start a new worker; whether it can replace the old one.

        If the new worker fails while the old one serves, this does not count as a crash: the
        database may be unreachable, and two crashes in a row would end the server.
        """
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
        started.unlink(missing_ok=True)  # process ids are reused
        new.interrupt_by_parent = False
        return self.interrupt_signal or new.is_alive() or not is_spared

    def _wait(self, is_over: Callable[[], bool], seconds: float = inf) -> None:
        end = time.monotonic() + seconds
        while not (self.interrupt_signal or is_over() or time.monotonic() >= end):
            time.sleep(_POLL_SECONDS)


def _has_ended(worker: Any) -> bool:
    return not worker.is_alive()
