"""Proves a backup: reads it back, restores it into a scratch database, and compares every table."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import ParamSpec, TypeVar

from backstay.backups import postgres, postgres_beside, sqlite
from backstay.backups.catalogue import Catalogue
from backstay.backups.encryption import Key
from backstay.backups.manifest import File, Manifest, Proof, Table
from backstay.backups.pipes import Decompressing, Reading, Sink, Stop, Stopped, Told, copy
from backstay.backups.postgres_programs import programs_for
from backstay.backups.storage import scratch_folder
from backstay.core.backups import BackupError

P = ParamSpec("P")
T = TypeVar("T")

_BETWEEN_CHECKS = 16 << 20
"""Bytes that are written between two looks at the room on the disk."""
_HOW = {
    "sqlite": "restored into a scratch file, integrity_check, foreign_key_check, "
    "rows and checksum of every table",
    "postgresql": "restored into a scratch database, rows and checksum of every table",
}


async def prove(
    manifest: Manifest, catalogue: Catalogue, url: str, pg_bin: str | None, told: Told
) -> Proof:
    """The proof of a backup, or why there is none; ``url`` is that of the live database."""
    begun, reason = monotonic(), ""
    try:
        if manifest.source.kind == "sqlite":
            await _restore_file(manifest, catalogue, told)
        else:
            await _restore_server(manifest, catalogue, url, pg_bin, told)
    except Stopped:
        raise
    except BackupError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{error.filename or 'The disk'}: {error.strerror or error}."
    return Proof(
        proven=not reason,
        at=datetime.now(UTC),
        seconds=round(monotonic() - begun, 3),
        how=_HOW[manifest.source.kind],
        reason=reason,
    )


async def in_thread(stop: Stop, work: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> T:
    """Run blocking work in a thread, and stop it when this is cancelled."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({running})
        with suppress(Exception, asyncio.CancelledError):
            running.result()
        raise


async def _restore_file(manifest: Manifest, catalogue: Catalogue, told: Told) -> None:
    stop = Stop()

    def restore() -> None:
        with scratch_folder(catalogue.storage.work_folder) as folder:
            file = folder / "proof.db"
            fetch(manifest, catalogue, file, stop, told)
            check_file(manifest, file, stop, told)

    await in_thread(stop, restore)


async def _restore_server(
    manifest: Manifest, catalogue: Catalogue, url: str, pg_bin: str | None, told: Told
) -> None:
    stop = Stop()
    async with postgres_beside.beside(url, postgres_beside.PROOF) as database:
        await load(manifest, catalogue, url, database, pg_bin, stop, told, "--no-privileges")
        await check_server(manifest, url, database, stop, told)


async def load(
    manifest: Manifest,
    catalogue: Catalogue,
    url: str,
    database: str,
    pg_bin: str | None,
    stop: Stop,
    told: Told,
    *extra: str,
) -> None:
    """Restore a dump into a database that is empty; ``extra`` are options of `pg_restore`.

    Raises:
        BackupError: it is damaged, or cannot be restored.
    """
    async with postgres.connected(url, database) as connection:
        major = int(await connection.fetchval("SHOW server_version_num")) // 10_000
    programs = programs_for(major, pg_bin)

    def restore() -> None:
        with scratch_folder(catalogue.storage.work_folder) as folder:
            dump = folder / "dump"
            fetch(manifest, catalogue, dump, stop, told)
            told("restored", 0, 1)
            postgres.restore_dump(url, database, programs, dump, stop, *extra)
            told("restored", 1, 1)

    await in_thread(stop, restore)


def fetch(manifest: Manifest, catalogue: Catalogue, target: Path, stop: Stop, told: Told) -> None:
    """Read the file of a backup back from its storage, decrypted and decompressed.

    Raises:
        BackupError: it is not what was written, or cannot be decrypted.
    """
    (file,) = manifest.files
    sqlite.require_room(target.parent, file.size)
    target.touch(mode=0o600)
    with catalogue.storage.reading(file.name) as source, target.open("wb") as opened:
        reading = Reading(source, stop, lambda done: told("read", done, file.size))
        sink = _Roomy(opened, target.parent)
        failure: Exception | None = None
        try:
            _decode(manifest, catalogue.key, reading, sink)
        except (BackupError, zlib.error) as error:
            failure = error
        _drain(reading)
    if isinstance(failure, Stopped):
        raise failure
    if (reading.size, reading.sha256) != (file.size, file.sha256):
        raise BackupError(_damage(manifest, file, reading))
    if failure is not None:
        raise failure if isinstance(failure, BackupError) else BackupError(f"{failure}.")


class _Roomy:
    """Writes to a file while the disk has room for more.

    What others wrote into the storage may be small there, and without an end when unpacked; its
    SHA-256 is known only afterwards, and the live database may be on the same disk.
    """

    def __init__(self, sink: Sink, folder: Path) -> None:
        self._sink, self._folder = sink, folder
        self._unchecked = 0

    def write(self, data: bytes, /) -> int:
        self._unchecked += len(data)
        if self._unchecked >= _BETWEEN_CHECKS:
            sqlite.require_room(self._folder, self._unchecked)
            self._unchecked = 0
        return self._sink.write(data)

    def flush(self) -> None:
        """Nothing is held back here."""


def _drain(reading: Reading) -> None:
    while reading.read(1 << 20):
        pass


def _damage(manifest: Manifest, file: File, reading: Reading) -> str:
    """The sentence about a file that is not what was written."""
    if reading.size < file.size:
        return (
            f"{file.name} is truncated: {reading.size} of its {file.size} bytes are there. "
            "Choose another backup."
        )
    return f"{file.name} is damaged: its SHA-256 is not that of {manifest.name}. Choose another."


def _decode(manifest: Manifest, key: Key | None, source: Reading, sink: Sink) -> None:
    is_packed = manifest.source.kind == "sqlite"
    unpacking = Decompressing(sink) if is_packed else None
    target: Sink = unpacking or sink
    if manifest.encrypted_to is None:
        copy(source, target)
    elif key is None:
        raise BackupError(f"{manifest.name} is encrypted: give its key as BACKUP_KEY.")
    else:
        key.decrypt(source, target)
    if unpacking is not None:
        unpacking.close()


def check_file(manifest: Manifest, file: Path, stop: Stop, told: Told) -> None:
    """Compare a restored file with what was backed up.

    Raises:
        BackupError: it is damaged, or holds something else.
    """
    found = list(sqlite.faults(file, stop, told))
    if found:
        raise BackupError(f"The restored database is faulty: {'; '.join(found)}.")
    source, tables = sqlite.describe(file, manifest.source.name, stop, told)
    compare(manifest, tables)
    if source.revisions != manifest.source.revisions:
        raise BackupError("The restored database has other revisions than the manifest says.")


async def check_server(manifest: Manifest, url: str, database: str, stop: Stop, told: Told) -> None:
    """Compare a restored database with what was dumped.

    Raises:
        BackupError: it holds something else.
    """
    compare(manifest, await postgres.tables_of(url, database, stop, told))


def compare(manifest: Manifest, found: Mapping[str, Table]) -> None:
    """Refuse tables that are not those of the manifest, rows and checksums included.

    Raises:
        BackupError: it names the tables.
    """
    expected = manifest.tables
    differ = [name for name in sorted(expected.keys() | found.keys())
              if expected.get(name) != found.get(name)]  # fmt: skip
    if differ:
        more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
        raise BackupError(
            f"The restored tables are not those that were backed up: {', '.join(differ[:5])}{more}."
        )
