"""Types and the port of backups: what one that was tried amounts to, and who makes one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class BackupError(Exception):
    """A backup cannot be made, read or restored; the text names the cause and what to do."""


class BackupState(StrEnum):
    """What became of a backup; only a proven one was restored and compared."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What became of one backup.

    Attributes:
        name: the name under which it is kept; empty if it failed.
        location: the folder or the address of the storage, without credentials.
        seconds: how long it took, its proof included.
        size: bytes that are kept.
        reason: why it is unproven or failed; else empty.
        removed: the names of older backups that the rotation removed.
    """

    state: BackupState
    name: str
    location: str
    started_at: datetime
    finished_at: datetime
    seconds: float
    size: int
    reason: str = ""
    removed: tuple[str, ...] = ()


class Backups(Protocol):
    """Makes backups of the application's database."""

    async def make(self) -> BackupReport:
        """Make a backup and prove it; what goes wrong is in the report."""
        ...
