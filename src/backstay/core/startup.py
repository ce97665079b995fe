"""How a process of ours begins: it loads fast, without what nobody needs, and then settles."""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = ("portalocker.redis", "rich")
"""What libraries load because it is installed, for what is not used of them here: locks on Redis,
tracebacks in colours. Together a tenth of a start."""


def hurry_imports() -> None:
    """Do not look for garbage: imports make none, and the search would be a fifth of a start.

    What runs for long looks for it again, from `settle_memory` on. What does not, does not look
    through everything that was imported when it ends, either.
    """
    gc.disable()
    atexit.register(gc.freeze)


@contextmanager
def without_extras() -> Iterator[None]:
    """Libraries that are imported meanwhile do without `EXTRAS`, as where these are missing."""
    hidden = [name for name in EXTRAS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def settle_memory() -> None:
    """Take what was loaded for permanent, and let the collector look for garbage less often.

    What a request makes goes without it, by the thousand.
    """
    if gc.isenabled() or gc.get_freeze_count():  # else all that there is was just imported
        gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()
