"""The log files of a server: rotated, shared by its workers, written by a thread of their own."""

import json
import logging
import sys
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from concurrent_log_handler import ConcurrentRotatingFileHandler

from backstay.adapters.log_stream import Forgiving

MAX_BYTES = 10 * 1024 * 1024
KEPT = 5
"""Old files that are kept of each."""
PAUSE = 0.1
"""Seconds that the thread that writes waits after a first line: what came meanwhile is written at
once, since locking and opening a file costs more than the line."""
BATCH = 50
"""Lines that are written at once, at most."""
SERVER, ACTIVITY = "server", "activity"


class LogFiles:
    """``server.log`` and ``activity.log`` in a folder; nothing is written until :meth:`start`."""

    def __init__(self, folder: str, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._kept = kept
        self._called = Event()
        self._lines: dict[str, deque[str]] = {}
        self._stopping = Event()
        self._thread: Thread | None = None
        self._from_libraries = _FromLibraries(self)

    def start(self) -> str | None:
        """Open the files; why it could not be done, or None. Without a folder nothing happens."""
        if not self._folder:
            return None
        try:
            folder = Path(self._folder)
            folder.mkdir(parents=True, exist_ok=True)
            files = {name: self._file(folder, name) for name in (SERVER, ACTIVITY)}
        except OSError as error:
            return f"{error.filename or self._folder}: {error.strerror}"
        self._lines = {name: deque() for name in files}
        self._stopping.clear()
        self._thread = Thread(target=self._work, args=(files,), name="log files", daemon=True)
        self._thread.start()
        for logger in _roots():
            if not logger.handlers and logging.lastResort is not None:
                logger.addHandler(logging.lastResort)  # which a handler of ours would replace
            logger.addHandler(self._from_libraries)
        return None

    def stop(self) -> None:
        """Write what waits and close the files."""
        if self._thread is None:
            return
        for logger in _roots():
            logger.removeHandler(self._from_libraries)
        self._stopping.set()
        self._called.set()
        self._thread.join()
        self._thread, self._lines = None, {}

    def server(self, event: Mapping[str, Any]) -> None:
        """Keep an event of the log."""
        self._write(SERVER, event)

    def activity(self, row: Mapping[str, Any]) -> None:
        """Keep a row of the audit trail, which was committed."""
        self._write(ACTIVITY, row)

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        lines = self._lines.get(name)
        if lines is not None:
            lines.append(json.dumps(values, default=_plain))
            if not self._called.is_set():
                self._called.set()

    def _work(self, files: Mapping[str, logging.Handler]) -> None:
        stopping = False
        while not stopping:
            self._called.wait()
            stopping = self._stopping.wait(PAUSE)
            self._called.clear()
            for name, file in files.items():
                lines = self._lines[name]
                while lines:
                    batch = [lines.popleft() for _ in range(min(len(lines), BATCH))]
                    file.handle(logging.makeLogRecord({"msg": "\n".join(batch)}))
        for file in files.values():
            file.close()

    def _file(self, folder: Path, name: str) -> logging.Handler:
        path = folder / f"{name}.log"
        path.open("a").close()
        return _File(
            path,
            maxBytes=self._max_bytes,
            backupCount=self._kept,
            encoding="utf-8",
            chmod=0o640,
        )


class _File(ConcurrentRotatingFileHandler):
    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say once what keeps it from being written; the log is no place for that."""
        if not self._told:
            self._told = True
            told = f"{self.baseFilename} cannot be written: {sys.exc_info()[1]}"
            print(told, file=Forgiving(sys.stderr))


class _FromLibraries(logging.Handler):
    """Warnings of libraries, in the form of our own events."""

    def __init__(self, files: LogFiles) -> None:
        super().__init__(logging.WARNING)
        self._files = files

    def emit(self, record: logging.LogRecord) -> None:
        event = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC),
        }
        if record.exc_info:
            event["exception"] = logging.Formatter().formatException(record.exc_info)
        self._files.server(event)


def _roots() -> list[logging.Logger]:
    """The loggers that pass nothing on: the root, and those of servers."""
    known = logging.root.manager.loggerDict.values()
    return [logging.root] + [
        logger for logger in known if isinstance(logger, logging.Logger) and not logger.propagate
    ]


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
