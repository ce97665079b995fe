"""Streams between a database and the storage: counted, compressed, and stopped on request."""

import hashlib
import threading
import zlib
from collections.abc import Callable
from subprocess import Popen
from typing import Any, Protocol

from backstay.core.backups import BackupError

CHUNK = 1 << 20
_GZIP = 31
"""The window of zlib for the format gzip (RFC 1952)."""
_LEVEL = 3

Told = Callable[[str, float, float], None]
"""Told of progress: what is done, the bytes or steps done, and all of them, or 0 if unknown."""


class Source(Protocol):
    """Anything that bytes are read from."""

    def read(self, size: int = ..., /) -> bytes: ...


class Sink(Protocol):
    """Anything that bytes are written to."""

    def write(self, data: bytes, /) -> int: ...


class Stopped(BackupError):
    """The work was cancelled."""


class Stop:
    """Stops work in a thread: it looks here between two chunks, and its programs are killed."""

    def __init__(self) -> None:
        self._is_set = threading.Event()
        self._programs: set[Popen[bytes]] = set()

    def set(self) -> None:
        """Stop at the next chunk."""
        self._is_set.set()
        for program in list(self._programs):
            program.kill()

    def check(self) -> None:
        """Raise `Stopped` if the work was cancelled."""
        if self._is_set.is_set():
            raise Stopped("It was stopped.")

    def add(self, program: "Popen[bytes]") -> None:
        """Kill this program, too."""
        self._programs.add(program)
        if self._is_set.is_set():
            program.kill()


class Reading:
    """Counts and hashes what is read from a source, and stops on request."""

    def __init__(
        self, source: Source, stop: Stop, told: Callable[[int], None] | None = None
    ) -> None:
        self._source, self._stop, self._told = source, stop, told
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        self._stop.check()
        data = bytes(self._source.read(size))
        self._digest.update(data)
        self.size += len(data)
        if self._told is not None:
            self._told(self.size)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Writing:
    """Counts and hashes what is written to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        self._sink.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class Compressing:
    """Reads the gzip form of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._compressor: Any = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._ready = bytearray()

    def read(self, size: int = -1, /) -> bytes:
        while self._compressor is not None and (size < 0 or len(self._ready) < size):
            data = self._source.read(CHUNK)
            if data:
                self._ready += self._compressor.compress(data)
            else:
                self._ready += self._compressor.flush()
                self._compressor = None
        count = len(self._ready) if size < 0 else size
        taken = bytes(self._ready[:count])
        del self._ready[:count]
        return taken


class Decompressing:
    """Writes the content of what is written in the form of gzip."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decompressor = zlib.decompressobj(_GZIP)

    def write(self, data: bytes, /) -> int:
        left = data
        while left:
            self._sink.write(self._decompressor.decompress(left, CHUNK))
            left = self._decompressor.unconsumed_tail
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Write the rest; raise zlib.error if the end is missing."""
        self._sink.write(self._decompressor.flush())
        if not self._decompressor.eof:
            raise zlib.error("the end is missing")


def copy(source: Source, sink: Sink) -> None:
    """Copy everything."""
    while data := source.read(CHUNK):
        sink.write(data)
