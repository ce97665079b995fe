"""Ends a process whose parent process has ended."""

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

ORPHAN_SECONDS = 2.0
"""How long a process may outlive its parent, to finish running requests."""
LOOK_SECONDS = 0.25
"""How often a process checks for its parent if the system cannot notify it."""


def follow_parent(parent: int) -> None:
    """End this process soon after its parent, however that ended.

    ``parent`` is the id as the parent passed it on: it may have ended by now.
    """

    def watch() -> None:
        with suppress(OSError):  # an old kernel, a sandbox, or the parent has ended already
            _sleep_until_end(parent)
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def _sleep_until_end(parent: int) -> None:
    """Sleep until the parent has ended, if the system can notify this process."""
    if sys.platform == "linux":
        end = os.pidfd_open(parent)
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if os.getppid() == parent:  # else another process may have this id by now
            poll.poll()
        os.close(end)
    elif sys.platform == "darwin":
        event = select.kevent(
            parent, select.KQ_FILTER_PROC, select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT
        )
        with select.kqueue() as queue:
            queue.control([event], 0)
            if os.getppid() == parent:
                queue.control(None, 1)
