"""Checks that a process sleeps, compared with a control process that wakes up all the time."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from backstay.testing.waiting import until

WAKEUPS = 25
"""How often the control process wakes up during a check."""
_RESTLESS = "import time\nwhile True: time.sleep(0.05)"

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="needs the /proc of Linux"
)


def is_idle(*pids: int) -> bool:
    """Whether these processes stay asleep while the control process wakes up `WAKEUPS` times."""
    with subprocess.Popen([sys.executable, "-c", _RESTLESS]) as restless:
        try:
            until(lambda: wakeups(restless.pid))
            before, end = wakeups(*pids), wakeups(restless.pid) + WAKEUPS
            until(lambda: wakeups(restless.pid) >= end)
            return wakeups(*pids) == before
        finally:
            restless.kill()


def wakeups(*pids: int) -> int:
    """The voluntary context switches of all threads of these processes."""
    total = 0
    for status in (f for pid in pids for f in Path(f"/proc/{pid}/task").glob("*/status")):
        with suppress(OSError):  # the thread has ended meanwhile
            told = status.read_text().partition("\nvoluntary_ctxt_switches:")[2]
            total += int(told.split()[0])
    return total


def proportional_bytes(pid: int) -> int:
    """The memory of a process, with its share of shared pages (PSS), in bytes."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(1024 * int(row.split()[1]) for row in rows if row.startswith("Pss:"))
