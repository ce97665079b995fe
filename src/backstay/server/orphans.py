"""Ends a process that has lost the one that started it."""

import os
import signal
import threading
import time

ORPHAN_SECONDS = 2.0
"""How long a process may outlive the one that started it, to finish what runs."""


def follow_parent() -> None:
    """End this process soon after the one that started it, however that one ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()
