"""An application whose database is backed up and restored in tests."""

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text

from backstay.application import PACKAGED
from backstay.backups.catalogue import Catalogue
from backstay.backups.making import key_of, make, untold
from backstay.backups.manifest import Manifest
from backstay.backups.restoring import restore
from backstay.backups.storage import storage_of
from backstay.backups.wish import Wish
from backstay.cli.backups import finished
from backstay.core.backups import BackupReport
from backstay.db.engine import writer_engine
from backstay.db.options import EngineOptions
from backstay.settings import Settings
from backstay.testing.databases import settings_with


@dataclass(frozen=True)
class Place:
    """A folder, a database, and settings beside these."""

    folder: Path
    url: str
    variables: dict[str, str]
    said: list[str] = field(default_factory=list)

    def having(self, **variables: str) -> "Place":
        """The same with further settings."""
        return replace(self, variables=self.variables | variables)

    @property
    def settings(self) -> Settings:
        return settings_with(self.url, self.folder, **self.variables)

    @property
    def backups(self) -> Path:
        """The folder of the backups."""
        return self.folder / "backups"

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(storage_of(self.settings.backup), key_of(self.settings))

    def made(self) -> BackupReport:
        """Make a backup."""
        return asyncio.run(make(self.settings))

    def proven(self) -> Manifest:
        """Make a backup, which must be proven; its manifest."""
        report = self.made()
        assert report.state == "proven", report.reason
        manifest, _ = self.catalogue.manifest(report.name)
        return manifest

    def restore(self, name: str = "latest", *, force: bool = True, drop_old: bool = False) -> str:
        """Restore a backup; the name under which the former database is kept."""
        catalogue, said = self.catalogue, self.said
        kind = make_url(self.url).get_backend_name()
        entry = catalogue.find(name, "backstay", "local", kind)
        wish = Wish(entry, catalogue, force, drop_old, untold, said.append)
        finish = partial(finished, PACKAGED)
        return asyncio.run(restore(wish, self.settings, PACKAGED.histories, finish))

    def run(self, statement: str) -> list[Any]:
        """Run one statement on the database; its rows."""
        return asyncio.run(_run(EngineOptions.of(self.settings), statement))


async def _run(options: EngineOptions, statement: str) -> list[Any]:
    engine = writer_engine(options)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return list(result.all()) if result.returns_rows else []
    finally:
        await engine.dispose()
