"""The commands of `db` that make, list and restore backups."""

import asyncio
import json
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from backstay.application import Application, application_in_use
from backstay.core.backups import BackupError, BackupReport, BackupState

if TYPE_CHECKING:
    from backstay.backups.catalogue import Catalogue
    from backstay.backups.wish import Wish
    from backstay.db.options import EngineOptions
    from backstay.settings import Settings

_ELSEWHERE = "A folder, or s3://bucket/prefix, instead of BACKUP_DIR."
_UNPROVEN = 3
"""The exit code of a backup that was made, and could not be proven."""


def backup(
    to: Annotated[str | None, typer.Option(metavar="URL", help=_ELSEWHERE)] = None,
) -> None:
    """Back the database up while it is in use, and prove the backup by restoring it.

    It exits with 3 if the backup was made, and could not be proven.
    """
    application = application_in_use()
    settings = application.load_settings()
    from backstay.backups.catalogue import readable
    from backstay.backups.making import make

    with _Line() as line:
        report = asyncio.run(make(settings, application.name, address=to, told=line))
    asyncio.run(_record(application, settings, report))
    if report.state is BackupState.FAILED:
        raise BackupError(f"No backup was made: {report.reason}")
    typer.echo(f"Backed up as {report.name} ({readable(report.size)}) in {report.location}.")
    if settings.backup.key is None:
        typer.echo("It is not encrypted: set BACKUP_KEY to encrypt the next one.", err=True)
    for name in report.removed:
        typer.echo(f"Removed {name}, which is older than the {settings.backup.keep} to keep.")
    if report.state is BackupState.UNPROVEN:
        typer.echo(f"It is kept, but unproven: {report.reason}", err=True)
        raise typer.Exit(_UNPROVEN)
    typer.echo(f"It is proven: restored and compared, in {report.seconds:.1f} s.")


def backups(
    at: Annotated[str | None, typer.Option("--in", metavar="URL", help=_ELSEWHERE)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the backups, newest first, and whether each is proven."""
    settings = application_in_use().load_settings()
    from backstay.backups.catalogue import shown
    from backstay.cli.output import print_columns

    entries = _catalogue(settings, at).entries()
    if as_json:
        found = [
            {
                "name": each.name,
                "fault": each.fault or None,
                "sealed": each.is_sealed,
                "manifest": each.manifest and each.manifest.model_dump(mode="json"),
            }
            for each in entries
        ]
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif entries:
        head = ("NAME", "MADE (UTC)", "SIZE", "ENCRYPTED", "PROOF")
        print_columns([head, *shown(entries)], header=True)
    else:
        typer.echo(f"There are no backups in {_catalogue(settings, at).storage.address}.")


def restore(
    wanted: Annotated[
        str,
        typer.Argument(metavar="FILE|NAME|latest", help="A file of a backup, its name, or latest."),
    ],
    at: Annotated[str | None, typer.Option("--from", metavar="URL", help=_ELSEWHERE)] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the database holds data.")
    ] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Do not keep the database that is replaced.")
    ] = False,
    unsealed: Annotated[
        bool, typer.Option("--unsealed", help="Even if it was made without BACKUP_KEY.")
    ] = False,
) -> None:
    """Put a backup in the place of the database; servers and workers must not run.

    It is restored beside the database and compared first. The former database is kept.
    """
    application = application_in_use()
    settings = application.load_settings()
    import backstay.composition  # noqa: F401 - loads the models
    from backstay.backups.wish import Wish

    entry, catalogue = _found(wanted, at, settings, application.name)
    if catalogue.key is not None and not entry.is_sealed and not unsealed:
        raise BackupError(
            f"{entry.name} was made without BACKUP_KEY, so whoever may write into "
            f"{catalogue.storage.address} may have made it, or changed it: to restore it all the "
            "same, add --unsealed."
        )
    with _Line() as line:
        wish = Wish(entry, catalogue, force, drop_old, line, line.say)
        asyncio.run(_restore(wish, application, settings, line))


async def _restore(
    wish: "Wish", application: Application, settings: "Settings", line: "_Line"
) -> None:
    from backstay.backups import restoring

    manifest, notes = wish.manifest, list[str]()

    async def finish(options: "EngineOptions") -> None:
        notes.extend(await finished(application, options))

    kept = await restoring.restore(wish, settings, application.histories, finish)
    line.clear()
    rows = sum(each.rows for each in manifest.tables.values())
    typer.echo(
        f"Restored {manifest.name} of {manifest.made_at:%Y-%m-%d %H:%M} UTC: "
        f"{len(manifest.tables)} tables with {rows} rows, compared."
    )
    for note in (*notes, *await _reset_caches(application, settings)):
        typer.echo(note)
    if kept:
        typer.echo(f"The former database is kept as {kept}; remove it once all is well.")


async def finished(application: Application, options: "EngineOptions") -> list[str]:
    """Bring a restored database to this version, and end its sessions; what to tell of it."""
    from backstay.db import migrate
    from backstay.db.migrations.standing import FIT, State

    notes = []
    if await migrate.state(options, application.histories) is State.BEHIND:
        applied = await migrate.upgrade(options, histories=application.histories)
        notes.append(f"It was of an older version; applied {', '.join(applied)}.")
        notes.append("Run `backstay db upgrade` once more: it seeds what this version needs.")
    if await migrate.state(options, application.histories) not in FIT:
        return notes
    return notes + await _left_behind(options)


async def _left_behind(options: "EngineOptions") -> list[str]:
    """End the sessions and the maintenance of that moment; what to tell of it."""
    from sqlalchemy import delete, func, select, update

    from backstay.core.clock import utc_now
    from backstay.db.engine import writer_engine
    from backstay.db.maintenance import IN_FORCE, MaintenanceRow
    from backstay.features.auth.model import Session
    from backstay.features.auth.schemas import EndReason
    from backstay.jobs.tables import UNFINISHED, Job

    ended = update(Session).where(Session.ended_at.is_(None))
    ended = ended.values(ended_at=utc_now(), end_reason=EndReason.ENDED.value)
    engine = writer_engine(options)
    try:
        async with engine.begin() as connection:
            sessions = (await connection.execute(ended)).rowcount
            waiting = await connection.scalar(
                select(func.count()).select_from(Job).where(UNFINISHED)
            )
            was_on = await connection.scalar(select(func.count()).where(IN_FORCE))
            await connection.execute(delete(MaintenanceRow))
    finally:
        await engine.dispose()
    ended_now = "1 session" if sessions == 1 else f"{sessions} sessions"
    notes = [f"Ended {ended_now}: everybody signs in anew."]
    if was_on:
        notes.append("Maintenance was on when the backup was made; it is off.")
    if waiting:
        jobs = "1 job was" if waiting == 1 else f"{waiting} jobs were"
        notes.append(
            f"{jobs} unfinished then and will run, even if run since: "
            "look at the table jobs before you start a worker."
        )
    return notes


async def _reset_caches(application: Application, settings: "Settings") -> list[str]:
    """Clear what Redis holds of answers and principals, if there is a Redis."""
    if settings.redis.address is None and settings.redis.cache_address is None:
        return []
    from backstay.core.context import PrincipalChanges

    changes = PrincipalChanges()
    changes.touch_everyone()
    backstay = application.compose(settings, for_requests=False)
    try:
        await backstay.start()
        await backstay.cache.delete_matching("*")
        await backstay.channel.publish(changes)
        is_cleared = backstay.links.state == "ok"
    except Exception as error:
        return [f"Warning: the caches on Redis could not be cleared ({error}): flush them."]
    finally:
        await backstay.close()
    if not is_cleared:
        return ["Warning: Redis does not answer. Flush its caches before a server starts."]
    return ["Cleared the cached answers on Redis."]


def _catalogue(settings: "Settings", address: str | None) -> "Catalogue":
    from backstay.backups.catalogue import Catalogue
    from backstay.backups.making import key_of
    from backstay.backups.storage import storage_of

    return Catalogue(storage_of(settings.backup, address), key_of(settings))


def _found(
    wanted: str, at: str | None, settings: "Settings", label: str
) -> "tuple[Any, Catalogue]":
    from backstay.backups.catalogue import Catalogue, placed
    from backstay.backups.making import label_of
    from backstay.db.options import EngineOptions

    catalogue = _catalogue(settings, at)
    folder, name = (None, wanted) if at is not None or wanted == "latest" else placed(wanted)
    if folder is not None:
        catalogue = Catalogue(folder, catalogue.key)
    kind = "sqlite" if EngineOptions.of(settings).is_sqlite else "postgresql"
    environment = settings.environment.value
    return catalogue.find(name, label_of(settings, label), environment, kind), catalogue


async def _record(application: Application, settings: "Settings", report: BackupReport) -> None:
    """Let metrics and health know of it, if the database has the table for that."""
    from backstay.db import migrate
    from backstay.db.migrations.runner import MigrationError
    from backstay.db.migrations.standing import FIT
    from backstay.db.options import EngineOptions
    from backstay.features.system.commands.backups import RecordBackup

    with suppress(MigrationError):
        options = EngineOptions.of(settings)
        if await migrate.state(options, application.histories) in FIT:
            backstay = application.compose(settings, for_requests=False)
            try:
                await backstay.system(RecordBackup.of(report))
            finally:
                await backstay.close()
            return
    typer.echo("The database does not fit this version, so no metric will tell of it.", err=True)


class _Line:
    """A line about progress, on a terminal alone, at most ten times a second."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, what: str, done: float, total: float) -> None:
        now = monotonic()
        if not self._is_shown or now - self._last < 0.1:
            return
        self._last = now
        share = f"{done / total:.0%}" if total else f"{done / 2**20:.1f} MiB"
        sys.stderr.write(f"\r\x1b[K{what} {share}")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line, before an error is told in its place, too."""
        self.clear()

    def say(self, text: str) -> None:
        """Print a sentence in place of the line."""
        self.clear()
        typer.echo(text)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
