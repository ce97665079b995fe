"""The manifest beside each backup: what it holds, how it was proven, and whose it is.

Its bytes are one spelling of its content with a seal over it, so that every changed bit is noticed.
"""

import hashlib
import json
import re
from contextlib import suppress
from hmac import compare_digest
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from backstay.backups.encryption import Key
from backstay.core.backups import BackupError

FORMAT = 1
_DAMAGED = "The manifest of {} is damaged: choose another backup."
_PLAIN, _KEYED = "sha256", "hmac-sha256"
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_ENDING = re.compile(r"\.(db\.gz|dump)(\.age)?")


KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
REVISIONS = "SELECT version_num FROM alembic_version"
RECORD = "SELECT revision, oldest_code FROM schema_revisions"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OtherKey(BackupError):
    """A manifest cannot be used without its key, or is damaged; ``claimed`` is what it says."""

    claimed: "Manifest | None" = None


class File(_Part):
    """A file of a backup, as it is kept: its size in bytes and its SHA-256."""

    name: str
    size: _Count
    sha256: str


class Table(_Part):
    """The rows of a table: how many, and a checksum in which their order does not matter."""

    rows: _Count
    checksum: str


class Source(_Part):
    """The database that was copied.

    ``revisions`` are the last ones of all histories. ``record`` has by revision the oldest code
    that works with it: by this, older code tells whether it works with the backup.
    """

    kind: Literal["sqlite", "postgresql"]
    version: str
    name: str
    revisions: tuple[str, ...]
    record: dict[str, str | None] = {}


class Proof(_Part):
    """How a backup was tried: whether it is proven, and if not, why."""

    proven: bool
    at: AwareDatetime
    seconds: float
    how: str
    reason: str = ""


class Manifest(_Part):
    """All that is known of a backup.

    Who may write into the storage can make one without a seal, so that its names are checked: a
    file is read and removed by them.
    """

    format: int
    name: str
    application: str
    environment: str
    application_version: str
    backstay_version: str
    made_at: AwareDatetime
    seconds: float
    source: Source
    encrypted_to: str | None
    files: tuple[File]
    tables: dict[str, Table]
    proof: Proof | None = None

    @model_validator(mode="after")
    def _names_its_own_file(self) -> Self:
        (file,) = self.files
        if not file.name.startswith(self.name) or not _ENDING.fullmatch(
            file.name[len(self.name) :]
        ):
            raise ValueError("The file is not that of this backup.")
        return self

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(each.size for each in self.files)

    @property
    def is_proven(self) -> bool:
        """Whether it was restored and compared."""
        return self.proof is not None and self.proof.proven

    def is_of(self, application: str, environment: str, kind: str) -> bool:
        """Whether it is of an application in an environment, and of a kind of database."""
        its = self.application, self.environment, self.source.kind
        return its == (application, environment, kind)

    def is_beside(self, other: "Manifest") -> bool:
        """Whether it is of the same database as another one."""
        mine, its = self.source, other.source
        is_own = self.is_of(other.application, other.environment, its.kind)
        return is_own and mine.name == its.name

    def sealed(self, key: Key | None) -> bytes:
        """The file of the manifest, sealed with the key if there is one."""
        content = self.model_dump(mode="json")
        kind, seal = _sealed(_spelled(content), key)
        return _spelled({"manifest": content, "seal": kind, "value": seal}) + b"\n"

    @classmethod
    def read(cls, data: bytes, name: str, key: Key | None) -> tuple[Self, bool]:
        """A manifest, and whether it was sealed with this key.

        Raises:
            BackupError: it is damaged, of a newer format, or sealed with another key.
        """
        try:
            whole = json.loads(data)
            content, kind, seal = whole["manifest"], whole["seal"], whole["value"]
            is_as_written = _spelled(whole) + b"\n" == data and len(whole) == 3
        except (ValueError, LookupError, TypeError, RecursionError):
            raise BackupError(_DAMAGED.format(name)) from None
        is_formed = isinstance(content, dict) and isinstance(seal, str)
        if not is_as_written or not is_formed or kind not in (_PLAIN, _KEYED):
            raise BackupError(_DAMAGED.format(name))
        is_keyed = kind == _KEYED
        if is_keyed and key is None:
            raise cls._locked(
                f"{name} was made with BACKUP_KEY: set the key it was made with.", content
            )
        expected = _sealed(_spelled(content), key if is_keyed else None)[1]
        if not compare_digest(seal.encode(), expected.encode()):
            if is_keyed:
                told = (
                    f"The manifest of {name} is damaged or sealed with another key than BACKUP_KEY"
                )
                raise cls._locked(f"{told}: set the key it was made with.", content)
            raise BackupError(_DAMAGED.format(name))
        if content.get("format") != FORMAT:
            raise BackupError(f"{name} was made by a newer version of Backstay: install that.")
        try:
            return cls.model_validate(content), is_keyed
        except ValidationError:
            raise BackupError(_DAMAGED.format(name)) from None

    @classmethod
    def _locked(cls, told: str, content: Any) -> OtherKey:
        error = OtherKey(told)
        with suppress(ValidationError):
            error.claimed = cls.model_validate(content)
        return error


def _spelled(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode()


def _sealed(content: bytes, key: Key | None) -> tuple[str, str]:
    if key is None:
        return _PLAIN, hashlib.sha256(content).hexdigest()
    return _KEYED, key.seal(content)
