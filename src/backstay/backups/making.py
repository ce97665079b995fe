"""Makes a backup: a consistent copy, its manifest, its proof, and the rotation of older ones."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic

from sqlalchemy.engine import make_url

from backstay.backups import postgres, sqlite
from backstay.backups.catalogue import Catalogue
from backstay.backups.encryption import Key, encrypted
from backstay.backups.manifest import File, Manifest, Source, Table
from backstay.backups.pipes import Compressing, Reading, Stop, Told, Writing
from backstay.backups.pipes import Source as Stream
from backstay.backups.postgres_programs import programs_for
from backstay.backups.proving import in_thread, prove
from backstay.backups.storage import scratch_folder, storage_of
from backstay.core.backups import BackupError, BackupReport, BackupState
from backstay.db.options import EngineOptions
from backstay.settings import Settings

_PGBOUNCER = (
    "Backups need sessions of their own, which PgBouncer does not give, and what they set there "
    "would stay for others: set BACKUP_DB_URL to the address of PostgreSQL itself."
)


_NO_PROJECT = ("", "packaged")
"""How applications are called that no project made: they are told apart by `APP_NAME` alone."""


def untold(what: str, done: float, total: float) -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose database it is, and how it is reached.

    Attributes:
        application: the label of the application; see `label_of`.
        url: the address of the database for backups.
        file: the file of SQLite; None on PostgreSQL.
        pg_bin: the folder of the programs of PostgreSQL, if it is set.
    """

    application: str
    environment: str
    application_version: str
    backstay_version: str
    url: str
    file: Path | None
    pg_bin: str | None

    @classmethod
    def of(cls, settings: Settings, label: str = "") -> "Origin":
        """The database of the settings; ``label`` is that of the application.

        Raises:
            BackupError: ``BACKUP_DB_URL`` names another one, or lacks behind PgBouncer.
        """
        from backstay import __version__

        own, options = settings.backup, EngineOptions.of(settings)
        url = own.db_url.get_secret_value() if own.db_url and not options.is_sqlite else options.url
        if options.pgbouncer and own.db_url is None:
            raise BackupError(_PGBOUNCER)
        if make_url(url).database != make_url(options.url).database and not options.is_sqlite:
            raise BackupError("BACKUP_DB_URL names another database than DB_URL.")
        return cls(
            label_of(settings, label),
            settings.environment.value,
            settings.app.version,
            __version__,
            url,
            options.file,
            own.pg_bin,
        )

    @property
    def database(self) -> str:
        """The name of the database, without its address."""
        return self.file.name if self.file else make_url(self.url).database or ""


def label_of(settings: Settings, label: str) -> str:
    """`APP_NAME`, else ``label``, in lower-case letters: names of backups begin with it.

    Two projects that share a bucket must not rotate each other's backups.
    """
    is_named = settings.app.name != type(settings.app).model_fields["name"].default
    name = settings.app.name if is_named or label in _NO_PROJECT else label
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789") or "backstay"


def key_of(settings: Settings) -> Key | None:
    """The key of the settings, if there is one.

    Raises:
        BackupError: the extra is missing that it needs.
    """
    key = settings.backup.key
    return Key(key.get_secret_value()) if key else None


async def make(
    settings: Settings, label: str = "", *, address: str | None = None, told: Told = untold
) -> BackupReport:
    """Make a backup, prove it, and rotate; a fault is in the report, and nothing is raised.

    A backup that cannot be proven is kept.
    """
    started, begun = datetime.now(UTC), monotonic()
    location = address or settings.backup.dir
    state, reason = BackupState.FAILED, ""
    removed: tuple[str, ...] = ()
    manifest: Manifest | None = None
    try:
        catalogue = Catalogue(storage_of(settings.backup, address), key_of(settings))
        location = catalogue.storage.address
        origin = Origin.of(settings, label)
        manifest = await _kept(origin, catalogue, told)
        proof = await prove(manifest, catalogue, origin.url, origin.pg_bin, told)
        manifest = manifest.model_copy(update={"proof": proof})
        await asyncio.to_thread(catalogue.write, manifest)
        state = BackupState.PROVEN if proof.proven else BackupState.UNPROVEN
        reason = proof.reason
        removed = await asyncio.to_thread(catalogue.rotate, settings.backup.keep, manifest)
    except BackupError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{error.filename or location}: {error.strerror or error}."
    return BackupReport(
        state=state,
        name=manifest.name if manifest else "",
        location=location,
        started_at=started,
        finished_at=datetime.now(UTC),
        seconds=round(monotonic() - begun, 3),
        size=manifest.size if manifest else 0,
        reason=reason,
        removed=removed,
    )


async def _kept(origin: Origin, catalogue: Catalogue, told: Told) -> Manifest:
    """Copy the database into the storage, and write its manifest, yet without proof."""
    made_at, begun = datetime.now(UTC), monotonic()
    name = f"{origin.application}-{made_at:%Y%m%dT%H%M%SZ}-{token_hex(4)}"
    try:
        copied = await (_from_file if origin.file else _from_server)(origin, catalogue, name, told)
        manifest = _manifest(origin, catalogue, name, copied, made_at, begun)
        await in_thread(Stop(), catalogue.write, manifest)
    except BaseException:  # nobody would find the file without its manifest, and no rotation
        with suppress(BackupError, OSError):
            await asyncio.shield(asyncio.to_thread(catalogue.remove, name))
        raise
    return manifest


def _manifest(
    origin: Origin,
    catalogue: Catalogue,
    name: str,
    copied: "_Copied",
    made_at: datetime,
    begun: float,
) -> Manifest:
    key = catalogue.key
    return Manifest(
        format=1,
        name=name,
        application=origin.application,
        environment=origin.environment,
        application_version=origin.application_version,
        backstay_version=origin.backstay_version,
        made_at=made_at,
        seconds=round(monotonic() - begun, 3),
        source=copied.source,
        encrypted_to=key.recipient if key else None,
        files=(copied.file,),
        tables=copied.tables,
    )


@dataclass(frozen=True, slots=True)
class _Copied:
    source: Source
    file: File
    tables: dict[str, Table]


async def _from_file(origin: Origin, catalogue: Catalogue, name: str, told: Told) -> _Copied:
    stop = Stop()
    return await in_thread(stop, _copied_file, origin, catalogue, name, stop, told)


def _copied_file(
    origin: Origin, catalogue: Catalogue, name: str, stop: Stop, told: Told
) -> _Copied:
    assert origin.file is not None  # noqa: S101 - on SQLite
    if not origin.file.exists():
        raise BackupError(f"There is no database {origin.file}: nothing can be backed up.")
    with scratch_folder(catalogue.storage.work_folder) as folder:
        copy = folder / "copy.db"
        sqlite.copy_database(origin.file, copy, stop, told)
        source, tables = sqlite.describe(copy, origin.database, stop, told)
        size = copy.stat().st_size
        with copy.open("rb") as file:
            reading = Reading(file, stop, lambda done: told("written", done, size))
            kept = _write(catalogue, f"{name}.db.gz", Compressing(reading), stop)
    return _Copied(source, kept, tables)


async def _from_server(origin: Origin, catalogue: Catalogue, name: str, told: Told) -> _Copied:
    stop = Stop()
    async with postgres.snapshot(origin.url) as moment:
        programs = programs_for(moment.major, origin.pg_bin)

        def dump() -> File:
            with postgres.dumping(origin.url, programs, moment.id, stop) as stream:
                return _write(
                    catalogue, f"{name}.dump", stream, stop, lambda done: told("written", done, 0)
                )

        kept = await in_thread(stop, dump)
        tables = await moment.tables(stop, told)
    return _Copied(moment.source, kept, tables)


def _write(
    catalogue: Catalogue,
    name: str,
    stream: Stream,
    stop: Stop,
    told: Callable[[int], None] | None = None,
) -> File:
    key = catalogue.key
    name = f"{name}.age" if key else name
    with catalogue.storage.writing(name) as sink:
        writing = Writing(sink)
        encrypted(Reading(stream, stop, told), writing, key)
    return File(name=name, size=writing.size, sha256=writing.sha256)
