"""Ends a process that has lost the one that started it."""

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

ORPHAN_SECONDS = 2.0
"""How long a process may outlive the one that started it, to finish what runs."""
LOOK_SECONDS = 0.25
"""How often it looks for that one where the system cannot tell of an end."""


def follow_parent(parent: int) -> None:
    """End this process soon after the one that started it, however that one ended.

    ``parent`` is the id that the starting process told, since it may have ended by now.
    """

    def watch() -> None:
        with suppress(OSError):  # an old kernel, a sandbox, or it has ended already
            _sleep_until_end(parent)
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def _sleep_until_end(parent: int) -> None:
    """Until the process that started this one has ended, where the system can tell."""
    if sys.platform == "linux":
        end = os.pidfd_open(parent)
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if os.getppid() == parent:  # else the number may be another's by now
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
