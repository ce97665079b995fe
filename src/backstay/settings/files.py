"""Reads files that settings name: plain files, or pipes such as those of secret managers.

A pipe can be read only once, but every process of a server reads the settings. The process that
reads a pipe therefore puts its text into the environment, which the processes that it starts
inherit; they belong to the same user.

This module also creates and keeps the secrets of a developer's machine, so that a first run needs
no settings.
"""

import json
import os
import secrets
import select
import stat
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

KEPT = "BACKSTAY_PIPES"
"""The environment variable that holds the texts of pipes by their paths, as JSON."""
MOST_BYTES = 65_536
MOST_KEPT = 120_000
"""The most characters of that variable: Linux passes no longer one to a new process."""
PATIENCE = 10.0
"""Seconds within which a pipe must be written to its end."""
FOLDER = ".backstay"
"""The folder for the secrets of a developer's machine."""
_TRIES = 100
_PAUSE_SECONDS = 0.01


def read_text(path: Path, environ: MutableMapping[str, str]) -> str:
    """Read the UTF-8 text of a file or pipe. That of a pipe is what the first reading process got.

    Raises:
        OSError: it is missing, too long, not UTF-8, neither file nor pipe, or a pipe that no
            process writes to its end; ``strerror`` says which, without the path.
    """
    known = _kept(environ)
    if (text := known.get(str(path))) is not None and not path.is_file():
        return text
    try:
        is_pipe, content = _read(path)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable("it is not UTF-8 text") from None
    except ValueError:
        raise _unreadable("its name has a NUL") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if is_pipe:
        told = json.dumps({**known, str(path): text})
        if len(told) > MOST_KEPT:
            raise _unreadable("it and other pipes are too long")
        environ[KEPT] = told
    return text


def _kept(environ: MutableMapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads(environ.get(KEPT, "{}"))
    except (ValueError, RecursionError):
        found = {}
    texts = found.items() if isinstance(found, dict) else ()
    return {path: text for path, text in texts if isinstance(text, str)}


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file, not a pipe: opening one would wait for its writer, and read it only once.

    Raises:
        OSError: it is not a plain file, or cannot be read; ``strerror`` says which.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _unreadable("it is not a plain file")
        return path.open("rb")
    except ValueError:
        raise _unreadable("its name has a NUL") from None


def _read(path: Path) -> tuple[bool, bytes]:
    mode = path.stat().st_mode
    is_pipe = stat.S_ISFIFO(mode)
    if not is_pipe and not stat.S_ISREG(mode):
        raise _unreadable("it is neither a file nor a pipe")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would block
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        content = _until_its_end(file.fileno()) if is_pipe else file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _unreadable(f"it is longer than {MOST_BYTES} bytes")
    if is_pipe and not content.strip():
        raise _unreadable("it is a pipe into which nothing was written")
    return is_pipe, content


def _until_its_end(descriptor: int) -> bytes:
    content, deadline, waiting = b"", time.monotonic() + PATIENCE, select.poll()
    waiting.register(descriptor, select.POLLIN)
    while len(content) <= MOST_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            raise _unreadable("it is a pipe that nobody writes to its end")
        chunk = os.read(descriptor, MOST_BYTES)
        if not chunk:
            break
        content += chunk
    return content


def kept_secret(directory: Path, name: str) -> str:
    """Return the secret in `.backstay/<name>`, which the first call creates; raises OSError.

    If several processes start at once, one creates it and the others wait until it is written.
    """
    path = directory / FOLDER / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with suppress(OSError), (path.parent / ".gitignore").open("x") as ignored:
        ignored.write("*\n")  # nobody shall commit a secret
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _written(path)
    value = secrets.token_urlsafe(48)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(value)
    return value


def _written(path: Path) -> str:
    for _ in range(_TRIES):
        if value := path.read_text("utf-8", "replace").strip():
            return value
        time.sleep(_PAUSE_SECONDS)
    raise _unreadable("its file is empty")


def _unreadable(why: str) -> OSError:
    return OSError(0, why)
