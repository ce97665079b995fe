"""Captures what a module logs while a test runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict


@contextmanager
def logged(module: ModuleType) -> Iterator[list[EventDict]]:
    """The events that a module logs within the block, whatever logging is configured."""
    capture, log = LogCapture(), vars(module)["log"]
    kind = structlog.make_filtering_bound_logger(0)
    vars(module)["log"] = structlog.wrap_logger(None, [capture], kind)
    try:
        yield capture.entries
    finally:
        vars(module)["log"] = log
