"""Shows that a restore puts all or nothing in the place of the database, and what it refuses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backstay.backups import restoring_file, restoring_server
from backstay.backups.manifest import Manifest
from backstay.core.backups import BackupError
from backstay.db import migrate, sqlite
from backstay.db.options import EngineOptions
from backstay.db.sole_server import sole_server
from tests.backups.rigs import Place


def test_a_restored_database_takes_the_place_of_the_other(place: Place) -> None:
    manifest = place.proven()
    place.run("UPDATE users SET name = 'changed'")
    kept = place.restore()
    assert place.run("SELECT name FROM users") != [("changed",)]
    former = _at(place, kept)
    assert former.run("SELECT name FROM users") == [("changed",)]
    place.restore(manifest.name, drop_old=True)
    assert place.restore(manifest.name, drop_old=True) == ""
    _drop(place, kept)


def test_data_is_overwritten_by_force_alone(place: Place) -> None:
    place.proven()
    place.run("UPDATE users SET name = 'changed'")
    with pytest.raises(BackupError, match="holds data: to put the backup in its place, add --f"):
        place.restore(force=False)
    assert place.run("SELECT name FROM users") == [("changed",)]


def test_a_database_in_use_is_left_alone(place: Place) -> None:
    place.proven()
    with _used(place), pytest.raises(BackupError, match="is in use"):
        place.restore()


def _used(place: Place) -> Any:
    """Somebody who has the database open."""
    from contextlib import closing  # noqa: PLC0415

    options = EngineOptions.of(place.settings)
    if options.file is not None:
        connection = sqlite.in_use().module.connect(options.file)
        connection.execute("SELECT count(*) FROM users").fetchone()
        return closing(connection)
    return _Session(place.url)


class _Session:
    """A session of PostgreSQL in a loop of its own."""

    def __init__(self, url: str) -> None:
        import asyncpg  # noqa: PLC0415

        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(url))

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


def test_a_backup_of_a_newer_version_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run("UPDATE alembic_version SET version_num = 'platform_9999'")
    place.proven()
    with pytest.raises(BackupError, match="The backup was migrated by a newer version"):
        place.restore()


NEWER = (
    "UPDATE alembic_version SET version_num = 'platform_9999'",
    "INSERT INTO schema_revisions (revision) VALUES ('platform_9999')",
)
"""What an upgrade by newer code leaves that only adds to the schema."""


def test_after_a_rollback_compatible_backups_are_restored(place: Place) -> None:
    for statement in NEWER:
        place.run(statement)
    assert place.proven().source.record["platform_9999"] is None
    place.run("UPDATE users SET name = 'changed'")
    place.restore(drop_old=True)
    assert place.run("SELECT name FROM users") != [("changed",)]
    place.run("UPDATE schema_revisions SET oldest_code = revision WHERE revision LIKE '%9999'")
    place.proven()
    with pytest.raises(BackupError, match="The backup was migrated by a newer version"):
        place.restore()


def test_a_backup_of_the_other_kind_is_refused(on_file: Place) -> None:
    manifest = on_file.proven()
    other = Place(on_file.folder, "postgresql://nobody@127.0.0.1:1/shop", on_file.variables)
    with pytest.raises(BackupError, match="is of SQLite, and DB_URL names PostgreSQL"):
        other.restore(manifest.name)


def test_after_a_fault_the_former_database_is_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.proven()
    place.run("UPDATE users SET name = 'changed'")

    def fail(*_: object, **__: object) -> None:
        raise BackupError("no")

    monkeypatch.setattr(restoring_file, "_swapped", fail)
    monkeypatch.setattr(restoring_server, "_swapped", fail)
    with pytest.raises(BackupError, match=r"^no$"):
        place.restore()
    assert place.run("SELECT name FROM users") == [("changed",)]
    assert not list(place.folder.glob("*restoring*"))


def test_an_older_backup_is_brought_to_this_version(on_file: Place) -> None:
    asyncio.run(migrate.downgrade(EngineOptions.of(on_file.settings), "platform_0011", True))
    on_file.proven()
    on_file.restore()
    assert on_file.run("SELECT version_num FROM alembic_version") == [("platform_0019",)]
    assert on_file.run("SELECT count(*) FROM backups") == [(0,)]


def test_a_restored_database_is_not_in_maintenance(place: Place) -> None:
    place.run(
        "INSERT INTO maintenance_mode (id, reason, operator, began_at) "
        "VALUES (1, 'We move.', 'ann@db1', CURRENT_TIMESTAMP)"
    )
    place.proven()
    place.restore(drop_old=True)
    assert place.run("SELECT count(*) FROM maintenance_mode") == [(0,)]


def test_a_server_keeps_its_file_from_a_restore(on_file: Place) -> None:
    on_file.proven()
    file = Path(on_file.url.removeprefix("sqlite:///"))
    with sole_server(file), pytest.raises(BackupError, match="is in use"):
        on_file.restore()


def test_a_damaged_file_is_replaced_by_force(on_file: Place) -> None:
    on_file.proven()
    file = Path(on_file.url.removeprefix("sqlite:///"))
    file.write_bytes(b"not a database" * 1000)
    Path(f"{file}-wal").write_bytes(b"stale" * 100)
    with pytest.raises(BackupError, match=r"cannot be read .*add --force"):
        on_file.restore(force=False)
    kept = on_file.restore()
    assert on_file.run("SELECT count(*) FROM users") == [(1,)]
    assert Path(kept).read_bytes().startswith(b"not a database")


def test_the_next_restore_tells_of_an_interrupted_one(on_file: Place) -> None:
    on_file.proven()
    file = Path(on_file.url.removeprefix("sqlite:///"))
    left = file.with_name(f"{file.name}.restoring-12345678")
    left.touch()
    on_file.restore()
    assert not left.exists()
    assert "An earlier restore was interrupted" in on_file.said[0]


def test_a_fresh_place_needs_no_force(on_file: Place, tmp_path: Path) -> None:
    manifest: Manifest = on_file.proven()
    fresh = Place(tmp_path, f"sqlite:///{tmp_path / 'fresh.db'}", on_file.variables)
    assert fresh.restore(manifest.name, force=False) == ""
    assert fresh.run("SELECT count(*) FROM users") == [(1,)]


def _at(place: Place, kept: str) -> Place:
    url = EngineOptions.of(place.settings)
    if url.is_sqlite:
        return Place(place.folder, f"sqlite:///{kept}", place.variables)
    return Place(place.folder, f"{place.url.rpartition('/')[0]}/{kept}", place.variables)


def _drop(place: Place, kept: str) -> None:
    if EngineOptions.of(place.settings).is_sqlite:
        Path(kept).unlink()
