"""Looks passwords up in a copy of Pwned Passwords on disk, so that nothing leaves the machine."""

import asyncio
from hashlib import sha1
from pathlib import Path
from typing import BinaryIO

import structlog

from backstay.core.errors import Unavailable
from backstay.settings.groups.breaches import HEX_OF_SHA1, RANGE

log = structlog.get_logger("backstay.passwords")


class BreachedPasswordFiles:
    """The BreachedPasswords port on the files that the downloader of Pwned Passwords writes.

    These are a folder of files, each named by the first five hexadecimal digits of SHA-1 hashes,
    with lines ``SUFFIX:COUNT``; or one file with lines ``HASH:COUNT`` sorted by hash. The latter is
    searched by bisection and never loaded as a whole.
    """

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None

    async def contains(self, password: str) -> bool:
        """Look the password up in a thread; False without a path."""
        if self._path is None:
            return False
        digest = sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
        try:
            return await asyncio.to_thread(_is_listed, self._path, digest)
        except OSError as error:
            log.warning("SECURITY_BREACHED_PASSWORDS_FILE cannot be read", reason=error.strerror)
            raise Unavailable("Passwords cannot be checked at the moment.") from error


def _is_listed(path: Path, digest: bytes) -> bool:
    if not path.is_dir():
        with path.open("rb") as file:
            return _is_in(file, digest)
    prefix, suffix = digest[:RANGE].decode(), digest[RANGE:]
    names = (f"{name}{end}" for name in (prefix, prefix.lower()) for end in (".txt", ""))
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        return False
    lines = found.read_bytes().upper().splitlines()
    return any(_counts(line) for line in lines if line.startswith(suffix))


def _is_in(file: BinaryIO, digest: bytes) -> bool:
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        start = _next_line(file, middle)
        line = file.readline()
        found = line[:HEX_OF_SHA1].upper()
        if start >= high or found > digest:
            high = middle
        elif found < digest:
            low = start + len(line)
        else:
            return _counts(line)
    return False


def _next_line(file: BinaryIO, position: int) -> int:
    """Seek the first line that begins at a position or after it, and return where it begins."""
    file.seek(max(0, position - 1))
    if position:
        file.readline()
    return file.tell()


def _counts(line: bytes) -> bool:
    """Whether the count of a line is above 0; lines with 0 are padding."""
    return int(line.partition(b":")[2] or b"0") > 0
