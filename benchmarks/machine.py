"""What a measurement needs of the machine, and how processes are kept to their processors."""

import os
import resource
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SERVER_CORE, OTHER_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """Something that the benchmark needs is not there; the text says how to get it."""


def check() -> None:
    """Look for everything before anything is started.

    Raises:
        Missing: with a sentence per thing.
    """
    faults = []
    if shutil.which("wrk") is None:
        faults.append("The load comes from wrk: install it (Debian: apt-get install wrk).")
    if not hasattr(os, "sched_setaffinity"):
        faults.append("Processes are pinned to processors, which needs Linux.")
    elif len(os.sched_getaffinity(0)) < 2:
        faults.append("Two processors are needed: one for the server, one for the rest.")
    if faults:
        raise Missing("\n".join(faults))


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, to one processor."""
    os.sched_setaffinity(0, {core})


def server_cores(workers: int) -> set[int]:
    """A processor per worker. Where there are only two, two workers share one with the load."""
    spare = sorted(set(range(os.cpu_count() or 1)) - {SERVER_CORE, OTHER_CORE})
    return set([SERVER_CORE, *spare, OTHER_CORE][:workers])


def family(pid: int) -> list[int]:
    """A process and everything that descends from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*"):
            with suppress(OSError):  # it may end meanwhile
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pids: Iterable[int], *, with_ended: bool = False) -> float:
    """The processor time that processes, or their ended children too, have used, in seconds."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11 : 15 if with_ended else 13]))
    return total / TICKS


def run_seconds(pids: Iterable[int]) -> dict[int, float]:
    """The processor time of each process that still lives, by its threads, to the nanosecond."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
            found[pid] = sum(int(each.read_text().split()[0]) for each in tasks) / 1e9
    return found


def ended_seconds() -> float:
    """The processor time that ended children of this process have used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
