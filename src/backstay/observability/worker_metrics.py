"""The metrics of several workers, each of which keeps its own in files, as those of one server.

What a dead worker counted still counts, but its files would be one more to read for each worker
that was ever replaced. So they become part of one file, which no process writes to otherwise.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

GONE = "gone"
"""Stands in the name of a file where others have the number of a process."""


def exposition(folder: Path) -> bytes:
    """Everything in the text format of Prometheus."""
    together = CollectorRegistry()
    with (folder / "lock").open("a") as lock:
        with suppress(BlockingIOError):  # another worker does it, or is reading
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _bury(folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        MultiProcessCollector(together, str(folder))  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _bury(folder: Path) -> None:
    """Forget the state of workers that are gone, and put together what they counted."""
    for file in folder.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid == GONE or _lives(int(pid)):
            continue
        is_begun = file.stat().st_size > 0  # else its worker was killed as it made the file
        if is_begun and not kind.startswith("gauge_live"):
            _add(file, folder / f"{kind}_{GONE}.db", is_sum=not kind.startswith("gauge"))
        file.unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # a worker of ours may be signalled
        return False
    return True


def _add(file: Path, to: Path, *, is_sum: bool) -> None:
    """Add numbers up; of a state that is not a sum, the latest counts."""
    together = MmapedDict(str(to))  # type: ignore[no-untyped-call]
    for key, value, moment, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
        before, known_at = together.read_value(key)  # type: ignore[no-untyped-call]
        if is_sum:
            together.write_value(key, before + value, moment)  # type: ignore[no-untyped-call]
        elif moment >= known_at:
            together.write_value(key, value, moment)  # type: ignore[no-untyped-call]
    together.close()  # type: ignore[no-untyped-call]
