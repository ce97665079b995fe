"""Shows that backups are whole, proven by a restore, and rotated without losing the proven one."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backstay.application import Application
from backstay.backups import proving
from backstay.backups.catalogue import Catalogue
from backstay.backups.making import label_of
from backstay.backups.manifest import Manifest
from backstay.core.backups import BackupError
from backstay.db import sqlite
from backstay.db.options import EngineOptions
from backstay.features.system.commands.backups import MakeBackup
from backstay.settings import Settings
from tests.backups.conftest import KEY
from tests.backups.rigs import Place

NEW_TIER = (
    "INSERT INTO tiers (id, name, version, created_at, updated_at) SELECT "
    "'01900000-0000-7000-8000-00000000000{}', 'tier{}', 1, created_at, created_at FROM users"
)


def test_a_backup_is_restored_and_compared_before_it_counts(place: Place) -> None:
    manifest = place.proven()
    assert manifest.tables["users"].rows == 1
    assert manifest.source.revisions == ("platform_0019",)
    assert manifest.encrypted_to is None
    assert manifest.proof is not None
    assert "every table" in manifest.proof.how
    kept = sorted(place.backups.iterdir())
    assert {oct(each.stat().st_mode & 0o777) for each in kept} == {"0o600"}
    assert oct(place.backups.stat().st_mode & 0o777) == "0o700"
    assert [each.name for each in kept if each.name.startswith(".")] == []


def test_an_encrypted_backup_holds_nothing_readable(place: Place) -> None:
    manifest = place.having(BACKUP_KEY=KEY).proven()
    data = (place.backups / manifest.files[0].name).read_bytes()
    assert data.startswith(b"age-encryption.org/v1")
    assert manifest.encrypted_to in (manifest.encrypted_to, None)
    assert KEY.encode() not in b"".join(each.read_bytes() for each in place.backups.iterdir())
    with pytest.raises(BackupError, match="was made with BACKUP_KEY: set the key it was made with"):
        place.catalogue.manifest(manifest.name)


def test_the_copy_of_a_file_is_from_one_moment(on_file: Place) -> None:
    """Rows go in pairs, each pair in one transaction, while the copy is made."""
    on_file.run("CREATE TABLE pairs (number INTEGER)")
    options, stopped = EngineOptions.of(on_file.settings), threading.Event()

    def write() -> None:
        connection = sqlite.in_use().module.connect(options.file, timeout=60)
        while not stopped.is_set():
            connection.execute("INSERT INTO pairs VALUES (1), (2)")
            connection.commit()
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = [on_file.proven().tables["pairs"].rows for _ in range(3)]
    finally:
        stopped.set()
        writer.join()
    assert all(count % 2 == 0 for count in counts)
    assert counts == sorted(counts)


def test_what_differs_after_the_restore_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_a_row(manifest: Manifest, *rest: object) -> None:
        tables = dict(manifest.tables)
        tables["roles"] = tables["roles"].model_copy(update={"rows": 99})
        compare(manifest.model_copy(update={"tables": tables}), *rest)  # type: ignore[arg-type]

    compare = proving.compare
    monkeypatch.setattr(proving, "compare", lose_a_row)
    report = place.made()
    assert report.state == "unproven"
    assert report.reason == "The restored tables are not those that were backed up: roles."
    entry = place.catalogue.entry(report.name)
    assert entry.manifest is not None
    assert entry.manifest.is_proven is False


def test_rotation_keeps_the_last_proven_and_what_others_wrote(
    on_file: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = on_file.having(BACKUP_KEEP="2")
    proven = place.proven()
    foreign = place.backups / "other-20200101T000000Z-00000000.json"
    foreign.write_text("{}")
    monkeypatch.setattr(proving, "check_file", _refuse)
    reports = [place.made() for _ in range(3)]
    assert {report.state for report in reports} == {"unproven"}
    left = {entry.name for entry in place.catalogue.entries()} - {foreign.stem}
    assert left == {proven.name, reports[1].name, reports[2].name}
    assert [report.removed for report in reports] == [(), (), (reports[0].name,)]
    assert len(list(place.backups.iterdir())) == 7


def test_projects_in_one_folder_leave_each_other_alone(on_file: Place) -> None:
    """Both have a database `backstay.db`, and no `APP_NAME`."""
    settings = on_file.having(BACKUP_KEEP="1").settings
    projects = [Application(name, migrations=None, templates=None) for name in ("shop", "pub")]
    for each in projects * 2:
        asyncio.run(_let_worker_make(each, settings))
    kept = [entry.name.partition("-")[0] for entry in on_file.catalogue.entries()]
    assert sorted(kept) == ["pub", "shop"]
    assert label_of(on_file.having(APP_NAME="My Shop").settings, "shop") == "my_shop"


async def _let_worker_make(project: Application, settings: Settings) -> None:
    backstay = project.compose(settings)
    try:
        assert await backstay.system(MakeBackup()) == "proven"
    finally:
        await backstay.close()


def _refuse(*_: object) -> None:
    raise BackupError("no")


def test_what_has_no_manifest_is_not_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would list it, and no rotation remove it."""
    monkeypatch.setattr(Catalogue, "write", _refuse)
    assert place.made().reason == "no"
    assert list(place.backups.iterdir()) == []


def test_without_a_database_the_report_says_so(on_file: Place) -> None:
    place = Place(on_file.folder, f"sqlite:///{on_file.folder / 'gone.db'}", on_file.variables)
    report = place.made()
    assert (report.state, report.name) == ("failed", "")
    assert report.reason.startswith("There is no database ")


def test_what_a_killed_process_left_is_removed(on_file: Place) -> None:
    left = on_file.backups / ".backstay-work-left"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (left / "copy.db").touch()
    on_file.proven()
    assert not left.exists()


def test_a_server_that_needs_no_backups_loads_nothing_of_them() -> None:
    code = (
        "import sys, backstay.composition; "
        "print(sorted(n for n in sys.modules if n.startswith('backstay.backups') "
        "or n in ('obstore', 'pyrage')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['backstay.backups', 'backstay.backups.table']"


def test_age_itself_reads_an_encrypted_backup(on_file: Place, tmp_path: Path) -> None:
    """With the identity alone, and gzip, as the guide says."""
    import gzip  # noqa: PLC0415

    import pyrage  # type: ignore[import-untyped]  # noqa: PLC0415

    manifest = on_file.proven()
    data = (on_file.backups / manifest.files[0].name).read_bytes()
    plain = gzip.decompress(pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(KEY)]))
    assert plain.startswith(b"SQLite format 3\0")
