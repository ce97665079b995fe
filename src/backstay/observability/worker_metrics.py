"""Merges the metrics that each worker keeps in files into those of one server.

The counts of dead workers still count, but each replaced worker would leave further files to read.
Their files are therefore merged into one, which no worker writes to.
"""

import fcntl
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

GONE = "gone"
"""Stands in the name of the merged file, where the files of workers have the process id."""


_held: dict[Path, tuple[int, IO[str]]] = {}
"""By folder: the number of this process, and the file whose lock holds it."""


def claim_number(folder: Path) -> int:
    """The lowest number that no living worker has; it is free again when this process ends.

    A worker that replaces another starts before that one ends, so there may be more numbers than
    workers, but no more than twice as many.
    """
    numbers = count(1)
    while folder not in _held:
        number = next(numbers)
        file = (folder / f"worker-{number}").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            _held[folder] = number, file
    return _held[folder][0]


def exposition(folder: Path) -> bytes:
    """All metrics in the text format of Prometheus."""
    together = CollectorRegistry()
    with (folder / "lock").open("a") as lock:
        with suppress(BlockingIOError):  # another worker is merging or reading
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _merge_dead_workers(folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        MultiProcessCollector(together, str(folder))  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _merge_dead_workers(folder: Path) -> None:
    """Merge the counts of dead workers into one file, and drop the state of those workers."""
    for file in folder.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid == GONE or _is_running(int(pid)):
            continue
        is_begun = file.stat().st_size > 0  # else the worker was killed while it created the file
        if is_begun and not kind.startswith("gauge_live"):
            _add(file, folder / f"{kind}_{GONE}.db", is_sum=not kind.startswith("gauge"))
        file.unlink()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    # without permission it is another user's process, not a worker
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _add(file: Path, to: Path, *, is_sum: bool) -> None:
    """Add a file's values to another's; of values that are not sums, the latest one stays."""
    together = MmapedDict(str(to))  # type: ignore[no-untyped-call]
    for key, value, moment, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
        before, known_at = together.read_value(key)  # type: ignore[no-untyped-call]
        if is_sum:
            together.write_value(key, before + value, moment)  # type: ignore[no-untyped-call]
        elif moment >= known_at:
            together.write_value(key, value, moment)  # type: ignore[no-untyped-call]
    together.close()  # type: ignore[no-untyped-call]
