"""The views of backups."""

from datetime import datetime
from uuid import UUID

from pydantic import Field, field_validator

from backstay.core.backups import BackupState
from backstay.core.masking import without_secrets
from backstay.core.messages import View


class BackupEntry(View):
    """A backup that was tried: `proven` if it was restored and compared; `reason` says why not.

    `size` is in bytes, `seconds` include the proof. `name` is empty if nothing was kept. `restore`
    is what an operator enters to put it in the place of the database while nothing else runs.
    """

    id: UUID
    state: BackupState
    name: str
    location: str = Field(description="The folder or the storage, without credentials.")
    reason: str
    size: int
    seconds: float
    started_at: datetime
    finished_at: datetime
    restore: str | None

    @field_validator("location", "reason", "restore")
    @classmethod
    def _without_secrets(cls, text: str | None) -> str | None:
        return text and without_secrets(text)


class BackupPolicy(View):
    """Where backups are kept, how often one is made, and what of it needs attention.

    `interval` is in seconds, 0 if none is made by itself; `note` is null if all is well.
    """

    location: str
    interval: int
    keep: int
    is_encrypted: bool
    note: str | None


class BackupStarted(View):
    """The job that makes the backup; one that was under way already."""

    id: UUID
