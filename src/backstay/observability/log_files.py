"""The log files of a server: rotated, shared by its workers, written by a separate thread."""

import json
import logging
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pydantic_core import to_json

from backstay.core.startup import without_extras

MAX_BYTES = 10 * 1024 * 1024
KEPT = 5
"""How many old files are kept of each log."""
PAUSE = 0.1
"""Seconds that the writing thread waits after a first line, to write it together with the lines
that follow: locking and opening a file costs more than writing a line."""
BATCH = 50
"""The most lines that are written at once."""
SERVER, ACTIVITY = "server", "activity"


class LogFiles:
    """``server.log`` and ``activity.log`` in a folder; nothing is written until :meth:`start`."""

    def __init__(self, folder: str, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._kept = kept
        self._has_lines = Event()
        self._lines: dict[str, deque[str]] = {}
        self._stopping = Event()
        self._thread: Thread | None = None

    def start(self) -> str | None:
        """Open the files and start the thread; the reason if that fails, else None.

        Without a folder nothing happens.
        """
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
        return None

    def stop(self) -> None:
        """Write the waiting lines and close the files."""
        if self._thread is None:
            return
        self._stopping.set()
        self._has_lines.set()
        self._thread.join()
        self._thread, self._lines = None, {}

    def server(self, event: Mapping[str, Any]) -> None:
        """Write a log event to ``server.log``."""
        self._write(SERVER, event)

    def activity(self, row: Mapping[str, Any]) -> None:
        """Write a committed row of the audit trail to ``activity.log``."""
        self._write(ACTIVITY, row)

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        lines = self._lines.get(name)
        if lines is not None:
            lines.append(_as_json(values))
            if not self._has_lines.is_set():
                self._has_lines.set()

    def _work(self, files: Mapping[str, logging.Handler]) -> None:
        stopping = False
        while not stopping:
            self._has_lines.wait()
            self._stopping.wait(PAUSE)
            self._has_lines.clear()
            stopping = self._stopping.is_set()  # after that: `stop` sets it before `_has_lines`
            for name, file in files.items():
                lines = self._lines[name]
                while lines:
                    batch = [lines.popleft() for _ in range(min(len(lines), BATCH))]
                    file.handle(logging.makeLogRecord({"msg": "\n".join(batch)}))
        for file in files.values():
            file.close()

    def _file(self, folder: Path, name: str) -> logging.Handler:
        with without_extras():
            from backstay.observability.rotated_file import RotatedFile  # noqa: PLC0415

        path = folder / f"{name}.log"
        path.open("a").close()
        return RotatedFile(
            path,
            maxBytes=self._max_bytes,
            backupCount=self._kept,
            encoding="utf-8",
            chmod=0o640,
        )


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _as_json(values: Mapping[str, Any]) -> str:
    try:
        return to_json(values, fallback=_plain).decode()
    except ValueError:  # it refuses some texts, such as half of a surrogate pair
        return json.dumps(values, default=_plain)
