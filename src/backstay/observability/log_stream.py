"""A stream for logs: whoever logs goes on, whatever becomes of the line."""

from contextlib import suppress
from typing import TextIO


class Forgiving:
    """Drops what a stream cannot take: its disk is full, say, or its reader has gone.

    It is None where the process was started with that stream closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or lose it."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()
