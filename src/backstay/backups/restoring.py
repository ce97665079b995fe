"""Restores a backup beside the database, checks it there, and swaps the two by renaming."""

from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex

from backstay.backups import restoring_file, restoring_server
from backstay.backups.making import Origin
from backstay.backups.manifest import KINDS, Manifest
from backstay.backups.wish import Finish, Wish
from backstay.core.backups import BackupError
from backstay.db.migrations.runner import Histories
from backstay.db.migrations.standing import State, standing_of
from backstay.db.options import EngineOptions
from backstay.settings import Settings


async def restore(wish: Wish, settings: Settings, histories: Histories, finish: Finish) -> str:
    """Restore a backup; the name under which the former database is kept, if it is.

    Until the last moment nothing is changed.

    Raises:
        BackupError: it cannot be restored; the database is as it was.
    """
    manifest, options = wish.manifest, EngineOptions.of(settings)
    _refuse_other_kind(manifest, options)
    _refuse_newer(manifest, histories)
    moment = f"{datetime.now(UTC):%Y%m%d%H%M%S}{token_hex(2)}"
    if options.file is not None:
        return await restoring_file.restore(wish, options, moment, finish)
    origin = Origin.of(settings)
    options = replace(options, url=origin.url, replica_url=None, pgbouncer=False)
    return await restoring_server.restore(wish, options, origin.pg_bin, moment, finish)


def _refuse_other_kind(manifest: Manifest, options: EngineOptions) -> None:
    kind = "sqlite" if options.is_sqlite else "postgresql"
    if manifest.source.kind != kind:
        raise BackupError(
            f"{manifest.name} is of {KINDS[manifest.source.kind]}, and DB_URL names {KINDS[kind]}: "
            "restore it to a database of its own kind, and move that with `backstay db copy`."
        )


def _refuse_newer(manifest: Manifest, histories: Histories) -> None:
    revisions = manifest.source.revisions
    if not revisions:
        return
    found = standing_of(histories, revisions, manifest.source.record)
    if found.state in {State.AHEAD, State.FOREIGN}:
        told = found.sentence.replace("The database", "The backup", 1)
        version = f"{manifest.backstay_version} of Backstay, {manifest.application_version} of "
        raise BackupError(f"{told} It was made by version {version}{manifest.application}.")
