"""Checks a copy of Pwned Passwords at start: in a wrong file no password would ever be found."""

import re
from pathlib import Path
from typing import BinaryIO

from backstay.settings.errors import SettingError
from backstay.settings.files import open_plain

HEX_OF_SHA1 = 40
RANGE = 5
"""How many hexadecimal digits of a hash are the name of its file in a folder."""
SAMPLES = 64
"""How many places of a file are read to check its order."""
_LINE = re.compile(rb"([0-9A-Fa-f]+):[0-9]+\r?\n?")


def breached_passwords(value: str) -> str:
    """Check that a path is a folder or file of breached passwords."""
    if wrong := _wrong_with(Path(value)):
        raise SettingError(
            wrong,
            "Name the folder, or the one file ordered by hash, that the downloader of Pwned "
            "Passwords wrote; or leave it out.",
        )
    return value


def _wrong_with(path: Path) -> str | None:
    """What is wrong with the copy, or None; only samples are read."""
    try:
        if path.is_dir():
            return _wrong_with_folder(path)
        with open_plain(path) as file:
            return _wrong_with_file(file)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _wrong_with_folder(path: Path) -> str | None:
    name = re.compile(rf"[0-9A-Fa-f]{{{RANGE}}}(\.txt)?")
    found = next((each for each in path.iterdir() if name.fullmatch(each.name)), None)
    if found is None:
        return "is a folder without files that are named by five hexadecimal digits"
    with open_plain(found) as file:
        if not _is_line(file.readline(100), HEX_OF_SHA1 - RANGE):
            return f"has a file, {found.name}, that does not begin with a line SUFFIX:COUNT"
    return None


def _wrong_with_file(file: BinaryIO) -> str | None:
    size, before = file.seek(0, 2), b""
    for number in range(SAMPLES):
        start = size * number // SAMPLES
        file.seek(start and start - 1)
        if start and not file.readline(100).endswith(b"\n"):
            return "does not consist of lines HASH:COUNT"
        line = file.readline(100)
        if not line and number:
            break
        if not _is_line(line, HEX_OF_SHA1):
            return "does not consist of lines HASH:COUNT"
        digest = line[:HEX_OF_SHA1].upper()
        if digest < before:
            return "is not in the order of its hashes"
        before = digest
    return None


def _is_line(line: bytes, digits: int) -> bool:
    match = _LINE.fullmatch(line)
    return match is not None and len(match[1]) == digits
