"""Keeps the secrets a developer's machine needs, so that a first run asks for nothing."""

import os
import secrets
import time
from pathlib import Path

FOLDER = ".backstay"

_TRIES = 100
_PAUSE_SECONDS = 0.01


def kept_secret(directory: Path, name: str) -> str:
    """Return the secret kept as `.backstay/<name>`, created at the first call; raises OSError.

    Of processes that start together one creates it, and the others wait until it is written.
    """
    path = directory / FOLDER / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _read(path)
    value = secrets.token_urlsafe(48)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(value)
    return value


def _read(path: Path) -> str:
    for _ in range(_TRIES):
        if value := path.read_text("utf-8", "replace").strip():
            return value
        time.sleep(_PAUSE_SECONDS)
    raise OSError(0, "its file is empty")
