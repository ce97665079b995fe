"""Chaos: `python -m tests.backups.chaos [100]`; `make backups` runs it.

Each time one random byte or bit of a backup or of its manifest is changed, or its end is cut off,
and the restore must refuse. Then restores are killed at random points, after which the database is
the former one or the restored one, whole. The replay of recorded requests is in `replay`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from backstay.application import PACKAGED
from backstay.backups.manifest import Manifest
from backstay.backups.postgres_beside import beside_name
from backstay.core.backups import BackupError
from backstay.db import sqlite
from backstay.settings.age import new_identity
from backstay.testing.databases import Templates
from backstay.testing.postgres_server import shared_server
from backstay.testing.waiting import until
from tests.backups.rigs import Place


def damage(chance: Random, folder: Path, manifest: Manifest) -> str:
    """Flip a bit of a file of the backup, or cut it off; what was done."""
    names = [f"{manifest.name}.json", *(file.name for file in manifest.files)]
    file = folder / chance.choice(names)
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(data))
    if chance.random() < 0.5:
        file.write_bytes(bytes(data[:at]))
        return f"{file.name} cut off at {at}"
    bit = chance.randrange(8)
    data[at] ^= 1 << bit
    file.write_bytes(bytes(data))
    return f"bit {bit} of byte {at} of {file.name} flipped"


def noticed(place: Place, name: str) -> bool:
    """Whether a restore refuses."""
    try:
        place.restore(name)
    except BackupError:
        return True
    return False


def damaged_times(place: Place, times: int, chance: Random) -> int:
    """How many of so many kinds of damage a restore refused."""
    manifest = place.proven()
    kept = place.folder / "kept"
    shutil.copytree(place.backups, kept)
    count = 0
    for _ in range(times):
        what = damage(chance, place.backups, manifest)
        if noticed(place, manifest.name):
            count += 1
        else:
            print(f"NOT noticed: {what}")
        shutil.rmtree(place.backups)
        shutil.copytree(kept, place.backups)
    return count


def killed_restores(place: Place, times: int, chance: Random) -> tuple[int, int]:
    """Kill restores at random points; how often the former and how often the new one is there.

    Raises:
        AssertionError: neither is there whole.
    """
    file = Path(place.url.removeprefix("sqlite:///"))
    place.run("CREATE TABLE chaos (number INTEGER)")
    place.run("INSERT INTO chaos VALUES (1)")
    manifest = place.proven()
    place.run("UPDATE chaos SET number = 2")
    longest, found = _seconds_of_restore(place, manifest.name), [0, 0]
    for _ in range(times):
        place.run("UPDATE chaos SET number = 2")
        running = _restoring(place, manifest.name)
        _wait_until_it_restores(place, running)
        time.sleep(chance.uniform(0.0, longest))
        running.send_signal(signal.SIGKILL)
        running.wait()
        number = _number_in(file)
        found[number == 1] += 1
        if number == 1:
            kept = max(file.parent.glob(f"{file.name}.before-*"))
            assert _number_in(kept) == 2, kept
            kept.unlink()
    place.restore(manifest.name)
    assert not list(file.parent.glob("*.restoring-*"))
    return found[0], found[1]


def killed_restores_of_server(place: Place, times: int, chance: Random) -> tuple[int, int]:
    """The same on PostgreSQL, where both renames are one transaction."""
    place.run("CREATE TABLE chaos (number INTEGER)")
    place.run("INSERT INTO chaos VALUES (1)")
    manifest = place.proven()
    place.run("UPDATE chaos SET number = 2")
    longest, found = _seconds_of_restore(place, manifest.name, "--drop-old"), [0, 0]
    for _ in range(times):
        place.run("UPDATE chaos SET number = 2")
        running = _restoring(place, manifest.name, "--drop-old")
        _wait_until_it_restores(place, running)
        time.sleep(chance.uniform(0.0, longest))
        running.send_signal(signal.SIGKILL)
        running.wait()
        ((number,),) = place.run("SELECT number FROM chaos")
        found[number == 1] += 1
    until(lambda: _left_beside(place) == [] or _restored(place, manifest.name))
    return found[0], found[1]


def _restored(place: Place, name: str) -> bool:
    """Restore once more, which a program that a killed restore left may refuse for a moment."""
    try:
        place.restore(name, drop_old=True)
    except BackupError:
        return False
    return _left_beside(place) == []


def _left_beside(place: Place) -> list[str]:
    address, _, name = place.url.rpartition("/")
    other = Place(
        place.folder, f"{address}/postgres", {}
    )  # a session in the database is in the way
    beginning = beside_name(name, "restore_")
    rows = other.run(f"SELECT datname FROM pg_database WHERE starts_with(datname, '{beginning}')")
    return [row[0] for row in rows]


def _number_in(file: Path) -> int:
    connection = sqlite.in_use().module.connect(file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        number: int = connection.execute("SELECT number FROM chaos").fetchone()[0]
        return number
    finally:
        connection.close()


def _seconds_of_restore(place: Place, name: str, *options: str) -> float:
    """How long a restore takes from when its copy is there: before that it imports."""
    running = _restoring(place, name, *options)
    _wait_until_it_restores(place, running)
    started = time.monotonic()
    assert running.wait() == 0
    return time.monotonic() - started


def _wait_until_it_restores(place: Place, running: "subprocess.Popen[bytes]") -> None:
    if place.url.startswith("sqlite"):
        until(lambda: running.poll() is not None or list(place.folder.glob("*.restoring-*")))
    else:
        until(lambda: running.poll() is not None or _left_beside(place))


def _restoring(place: Place, name: str, *options: str) -> "subprocess.Popen[bytes]":
    environ = {**os.environ, **place.variables, "DB_URL": place.url, "LOG_DIR": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "backstay", "db", "restore", name, "--force", *options],
        cwd=place.folder,
        env=environ,
        stdout=subprocess.DEVNULL,
    )


def main(times: int) -> None:
    """Print how often damage was noticed, and what killed restores left."""
    seed = random.randrange(2**32)
    chance = Random(seed)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url, _ = Templates(folder, shared_server, PACKAGED).copy("sqlite", folder)
        for key in ("", new_identity()):
            variables = {"BACKUP_DIR": str(folder / "backups"), "BACKUP_KEY": key}
            place = Place(folder, url, variables)
            count = damaged_times(place, times, chance)
            print(f"damage noticed, {'encrypted' if key else 'plain'}: {count} of {times}")
            shutil.rmtree(folder / "kept")
            assert count == times
        former, new = killed_restores(place, times // 2, chance)
        print(f"killed restores: {former} left the former database, {new} the restored one")
        server = shared_server()
        url, _ = Templates(folder, shared_server, PACKAGED).copy("postgresql", folder)
        variables = {"BACKUP_DIR": str(folder / "pg"), "BACKUP_PG_BIN": str(server.programs)}
        place = Place(folder, url, variables)
        former, new = killed_restores_of_server(place, times // 2, chance)
        print(f"on PostgreSQL: {former} left the former database, {new} the restored one")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
