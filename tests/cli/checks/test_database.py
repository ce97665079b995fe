"""Shows what is found of databases that are away, old, full, locked, read-only or behind."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from backstay.cli.checks import database
from backstay.composition import compose
from backstay.db.migrate import downgrade
from backstay.db.options import EngineOptions
from backstay.db.sqlite import Sqlite, in_use
from backstay.testing import Templates, settings_with
from backstay.testing.ports import free_port
from tests.cli.checks.looking import PRODUCTION, look, subject_of
from tests.features.steps import execute
from tests.files import look_into

NOW = datetime(2026, 12, 1, tzinfo=UTC)


async def test_a_sound_database_is_well(seeded_url: str, tmp_path: Path) -> None:
    told = await look(subject_of(tmp_path, DB_URL=seeded_url), "database")
    assert {each.partition(":")[0] for each in told.values()} <= {"ok", ""}, told
    assert told["database.writable"].startswith("ok: a row was written")
    assert told["database.administrator"].startswith("ok: there is one")


async def test_the_written_row_is_taken_back(seeded_url: str, tmp_path: Path) -> None:
    await look(subject_of(tmp_path, DB_URL=seeded_url), "database.writable")
    backstay = compose(settings_with(seeded_url, tmp_path))
    left = await execute(backstay, text("SELECT count(*) FROM schedules"))
    assert left.scalar_one() == 0
    await backstay.close()


async def test_a_database_that_is_behind_is_told(seeded_url: str, tmp_path: Path) -> None:
    options = EngineOptions.of(settings_with(seeded_url, tmp_path))
    await downgrade(options, "platform@-1", force=True)
    told = await look(subject_of(tmp_path, DB_URL=seeded_url), "database")
    schema = "error: The database is behind this version. Run `backstay db upgrade`."
    assert told["database.schema"] == schema
    assert told["database.writable"] == "skipped"
    assert told["database.clock"] != "skipped"


async def test_a_closed_port_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://ann:hunter2hunter2@127.0.0.1:{free_port()}/shop"
    told = await look(subject_of(tmp_path, DB_URL=url), "database")
    assert told.pop("database.reachable").startswith("error: The database `postgresql")
    assert set(told.values()) == {"skipped"}
    assert "hunter2" not in str(told)


async def test_a_lock_that_is_held_is_told(tmp_path: Path, templates: Templates) -> None:
    url, _ = templates.copy("sqlite", tmp_path)
    with look_into(tmp_path / "test.db") as other:
        other.execute("BEGIN IMMEDIATE")
        subject = subject_of(tmp_path, DB_URL=url, DB_POOL_TIMEOUT="0.1")
        told = await look(subject, "database.writable")
    assert told["database.writable"].startswith("warning: Another program has held the lock")


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_read_only_server_is_told(seeded_url: str, tmp_path: Path) -> None:
    url = f"{seeded_url}?options=-c%20default_transaction_read_only=on"
    told = await look(subject_of(tmp_path, DB_URL=url), "database.writable")
    assert told["database.writable"].startswith("error: Nothing can be written: cannot execute INS")


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_more_connections_than_the_server_has_are_told(
    seeded_url: str, tmp_path: Path
) -> None:
    subject = subject_of(tmp_path, DB_URL=seeded_url, SERVER_WORKERS="9", DB_MAX_CONNECTIONS="99")
    told = (await look(subject, "database.connections"))["database.connections"]
    assert told.startswith("warning: PostgreSQL may run out of connections: 9 of the server's")
    assert " Set DB_MAX_CONNECTIONS to " in told
    assert database.connections_finding(81, 100).severity == "warning"


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_wrong_clock_is_told(
    seeded_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "time", lambda: time.time() + 3600)
    told = await look(subject_of(tmp_path, DB_URL=seeded_url), "database.clock")
    assert told["database.clock"].startswith("error: The clock of the database is 3")
    assert "behind this machine; SECURITY_CLOCK_SKEW_SECONDS allows 30" in told["database.clock"]
    assert database.clock_finding("database", 4.0, 30).severity == "warning"


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_replicas_that_are_none_or_away_are_told(seeded_url: str, tmp_path: Path) -> None:
    for replica, cause in (
        (seeded_url, "error: DB_REPLICA_URL names a server that is no replica."),
        (f"postgresql://ann@127.0.0.1:{free_port()}/shop", "error: It does not answer: "),
    ):
        subject = subject_of(tmp_path, DB_URL=seeded_url, DB_REPLICA_URL=replica)
        told = await look(subject, "database.replica")
        assert told["database.replica"].startswith(cause)
    assert database.lag_finding(8, 31.0).severity == "warning"


async def test_nobody_to_administer_is_an_error_outside_local(
    tmp_path: Path, templates: Templates
) -> None:
    url, _ = templates.copy("sqlite", tmp_path)
    with look_into(tmp_path / "test.db") as file:
        file.execute("UPDATE users SET blocked_at = created_at")
    for variables, severity in (({}, "note: "), (PRODUCTION, "error: There is no administrator")):
        subject = subject_of(tmp_path, **variables, DB_URL=url)
        told = await look(subject, "database.administrator")
        assert told["database.administrator"].startswith(severity)


def test_versions_are_judged_by_their_fixes() -> None:
    bad = Sqlite(in_use().module, (3, 50, 4))
    assert database.sqlite_finding(bad).severity == "warning"
    assert database.sqlite_finding(Sqlite(bad.module, (3, 50, 7))).severity == "ok"
    judged = [database.postgres_finding(major, NOW).severity for major in (11, 14, 15)]
    assert judged == ["error", "warning", "ok"]


def test_a_file_on_the_network_is_an_error() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\nfiles:/x /mnt/shared nfs4 rw 0 0\n"
    shared, here = Path("/mnt/shared/a.db"), Path("/mnt/b.db")
    assert database.mount_finding(shared, mounts).severity == "error"
    assert database.mount_finding(here, mounts).cause == "on ext4"
