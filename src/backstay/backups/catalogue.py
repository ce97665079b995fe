"""The backups in a storage: found by their manifests, and rotated."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from backstay.backups.encryption import Key
from backstay.backups.manifest import KINDS, Manifest, OtherKey
from backstay.backups.storage import MANIFEST, MOMENT, Folder, Storage, is_name
from backstay.core.backups import BackupError

_MOST = 1 << 24
"""Bytes of the longest manifest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A backup in a storage; ``fault`` says why its manifest cannot be used.

    ``is_sealed`` says that whoever made it had the key. ``claimed`` is what a manifest says that
    nobody can vouch for without its key.
    """

    name: str
    manifest: Manifest | None
    is_sealed: bool = False
    fault: str = ""
    claimed: Manifest | None = None


class Catalogue:
    """The backups of one storage, read with one key or with none."""

    def __init__(self, storage: Storage, key: Key | None) -> None:
        self.storage = storage
        self.key = key

    def entries(self) -> list[Entry]:
        """All backups, the newest first.

        Raises:
            BackupError: the storage cannot be read.
        """
        names = self.storage.names()
        found = [name.removesuffix(MANIFEST) for name in names if name.endswith(MANIFEST)]
        found = [name for name in found if is_name(name)]
        return sorted(map(self.entry, found), key=_moment, reverse=True)

    def entry(self, name: str) -> Entry:
        """One backup, whose manifest may be faulty."""
        try:
            manifest, is_sealed = self.manifest(name)
        except BackupError as error:
            claimed = error.claimed if isinstance(error, OtherKey) else None
            return Entry(name, None, fault=str(error), claimed=claimed)
        return Entry(name, manifest, is_sealed)

    def manifest(self, name: str) -> tuple[Manifest, bool]:
        """The manifest of a backup, and whether it is sealed with the key.

        Raises:
            BackupError: there is none, or it cannot be used.
        """
        if not is_name(name) or f"{name}{MANIFEST}" not in self.storage.names():
            raise BackupError(
                f"There is no backup {name} in {self.storage.address}: `backstay db backups` lists "
                "those that are there."
            )
        with self.storage.reading(f"{name}{MANIFEST}") as source:
            data = bytearray()
            while (part := bytes(source.read(1 << 16))) and len(data) <= _MOST:
                data += part
        manifest, is_sealed = Manifest.read(bytes(data), name, self.key)
        if manifest.name != name:
            raise BackupError(f"The manifest of {name} is that of {manifest.name}.")
        return manifest, is_sealed

    def write(self, manifest: Manifest) -> None:
        """Write or replace a manifest."""
        with self.storage.writing(f"{manifest.name}{MANIFEST}") as sink:
            sink.write(manifest.sealed(self.key))

    def remove(self, name: str) -> None:
        """Remove whatever there is of a backup that was not finished."""
        for each in self.storage.names():
            if each.startswith(f"{name}."):
                self.storage.delete(each)

    def find(self, wanted: str, application: str, environment: str, kind: str) -> Entry:
        """The backup of a name, or the latest proven one of an application's kind of database.

        With a key, ``latest`` is one that was sealed with it: nobody else can put one in its place.

        Raises:
            BackupError: there is none, or a newer one lacks its key.
        """
        if wanted != "latest":
            manifest, is_sealed = self.manifest(wanted)
            return Entry(wanted, manifest, is_sealed)
        own = [each for each in self.entries() if (found := each.manifest or each.claimed)
               and found.is_of(application, environment, kind)]  # fmt: skip
        latest = next(
            (number for number, each in enumerate(own) if self._may_be_latest(each)), None
        )
        if locked := [each for each in own[:latest] if each.fault]:
            older = "" if latest is None else (
                f" Only an older one, {own[latest].name}, can be read: name it to restore that."
            )  # fmt: skip
            more = f" So it is with {len(locked) - 1} more." if len(locked) > 1 else ""
            raise BackupError(f"{locked[0].fault}{more}{older}")
        if latest is not None:
            return own[latest]
        sealed = "" if self.key is None else " and sealed with BACKUP_KEY"
        if own:
            raise BackupError(
                f"No backup in {self.storage.address} is proven{sealed}: name one to restore it "
                f"all the same, such as {own[0].name}."
            )
        raise BackupError(
            f"There is no backup of {application} ({environment}) from "
            f"{KINDS[kind]} in {self.storage.address}: `backstay db backups` lists what is there."
        )

    def _may_be_latest(self, entry: Entry) -> bool:
        is_proven = entry.manifest is not None and entry.manifest.is_proven
        return is_proven and (self.key is None or entry.is_sealed)

    def rotate(self, keep: int, like: Manifest) -> tuple[str, ...]:
        """Remove the oldest backups of the same database, and return their names.

        The latest proven one and ``like`` stay in any case, and so does all that has no sound
        manifest. Those without the seal are counted apart, so that they cannot displace others.
        """
        removed: list[Manifest] = []
        entries = self.entries()
        for is_sealed in (True, False):
            own = [each.manifest for each in entries if each.manifest is not None
                   and each.is_sealed is is_sealed and each.manifest.is_beside(like)]  # fmt: skip
            proven = next((each.name for each in own if each.is_proven), "")
            removed += [each for each in own[keep:] if each.name not in {proven, like.name}]
        for each in removed:
            for file in each.files:
                self.storage.delete(file.name)
            self.storage.delete(f"{each.name}{MANIFEST}")
        return tuple(each.name for each in removed)


def placed(wanted: str) -> tuple[Folder | None, str]:
    """The folder and the name that a path of a backup's file names; without one, no folder."""
    path = Path(wanted)
    if "/" not in wanted and not path.is_file():
        return None, wanted
    name = path.name.partition(".")[0]
    if not is_name(name):
        raise BackupError(
            f"{wanted} is no file of a backup: those have names such as "
            "shop-20260101T030000Z-1a2b3c4d.json."
        )
    return Folder(path.absolute().parent), name


def _moment(entry: Entry) -> tuple[datetime, str]:
    """When a backup was made, by its manifest; by its name, to the second, if that is faulty."""
    named = datetime.strptime(entry.name.split("-")[1], MOMENT).replace(tzinfo=UTC)
    found = entry.manifest or entry.claimed
    return found.made_at if found else named, entry.name


def shown(entries: list[Entry]) -> Iterator[tuple[str, ...]]:
    """A row for each backup: its name, time, size, tables, encryption and proof."""
    for each in entries:
        found = each.manifest
        if found is None:
            told = each.fault.replace(f" of {each.name}", "").removeprefix(f"{each.name} ")
            yield each.name, f"{_moment(each)[0]:%Y-%m-%d %H:%M}", "-", "-", told
            continue
        proof = found.proof
        told = "unproven: its proof was interrupted" if proof is None else (
            f"proven {proof.at:%Y-%m-%d %H:%M}" if proof.proven else f"unproven: {proof.reason}"
        )  # fmt: skip
        made = f"{found.made_at:%Y-%m-%d %H:%M}"
        yield each.name, made, readable(found.size), "yes" if found.encrypted_to else "no", told


def readable(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
