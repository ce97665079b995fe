"""What is to be restored, and how; known to the restorers of both kinds of database."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from backstay.backups.catalogue import Catalogue, Entry
from backstay.backups.manifest import Manifest
from backstay.backups.pipes import Told
from backstay.core.backups import BackupError
from backstay.db.options import EngineOptions

Finish = Callable[[EngineOptions], Awaitable[object]]
"""Called with the restored database before it takes its place: upgrades it, ends its sessions."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored, and how.

    Attributes:
        force: even if the database holds data.
        drop_old: do not keep the database that is replaced.
    """

    entry: Entry
    catalogue: Catalogue
    force: bool
    drop_old: bool
    told: Told
    say: Say

    @property
    def manifest(self) -> Manifest:
        """The manifest, which a wish always has."""
        if self.entry.manifest is None:
            raise BackupError(self.entry.fault)
        return self.entry.manifest
