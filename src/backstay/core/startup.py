"""Makes processes start faster: without garbage collection and without unused libraries."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = ("portalocker.redis", "rich")
"""Modules that libraries import if they are installed, for features that are not used here: locks
on Redis, coloured tracebacks. Together they take a tenth of the time to start."""
_is_ours = False


def hurry_imports() -> None:
    """Turn garbage collection off: imports make no garbage, and it would take a fifth of a start.

    A process that runs for long turns it on again with `settle_memory`. In one that does not, the
    imported objects are frozen at exit, so that they are not searched for garbage then, either.
    It is called where a command or a worker begins: the process is ours from then on.
    """
    global _is_ours  # noqa: PLW0603
    _is_ours = True
    gc.disable()
    atexit.register(gc.freeze)


@contextmanager
def without_extras() -> Iterator[None]:
    """Hide `EXTRAS` from libraries that are imported inside this context, as if not installed.

    Nothing is hidden in a process that is not ours (`hurry_imports`): its code may need them.
    """
    hidden = [name for name in EXTRAS if name not in sys.modules] if _is_ours else []
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def settle_memory() -> None:
    """Exclude all loaded objects from garbage collection, and turn it on with a higher threshold.

    The thousands of objects that a request makes are freed without it, by reference counting.
    """
    if gc.isenabled() or gc.get_freeze_count():  # else there are only freshly imported objects
        gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
