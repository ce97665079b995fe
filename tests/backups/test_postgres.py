"""Shows what backups do where PostgreSQL refuses, and that they leave nothing behind there."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import make_url

from backstay.backups import making, postgres, postgres_beside, postgres_programs
from backstay.core.backups import BackupError
from backstay.testing import Templates
from backstay.testing.postgres_server import PostgresServer
from tests.backups.rigs import Place


@pytest.fixture
def on_server(templates: Templates, postgres: PostgresServer, tmp_path: Path) -> Iterator[Place]:
    """An application on PostgreSQL."""
    url, remove = templates.copy("postgresql", tmp_path)
    variables = {"BACKUP_DIR": str(tmp_path / "backups"), "BACKUP_PG_BIN": str(postgres.programs)}
    yield Place(tmp_path, url, variables)
    remove()


@pytest.fixture
def limited(on_server: Place) -> Place:
    """The same as a role that owns its tables and may not create databases."""
    name = f"limited_{urlsplit(on_server.url).path[-8:]}"
    database = postgres.quoted(urlsplit(on_server.url).path[1:])
    _execute(
        on_server.url,
        f"CREATE ROLE {name} LOGIN PASSWORD 'p''ass'",
        f"ALTER DATABASE {database} OWNER TO {name}",
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables "
        f"WHERE schemaname = 'public' LOOP EXECUTE 'ALTER TABLE ' || t || ' OWNER TO {name}'; "
        "END LOOP; END $$",
        f"ALTER SEQUENCE jobs_position OWNER TO {name}",
    )
    place = urlsplit(on_server.url)
    url = f"postgresql://{name}:p'ass@{place.hostname}:{place.port}{place.path}"
    return Place(on_server.folder, url, on_server.variables)


def _execute(url: str, *statements: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


def _databases(url: str) -> set[str]:
    async def read() -> set[str]:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("SELECT datname FROM pg_database")
        await connection.close()
        return {row[0] for row in rows}

    return asyncio.run(read())


def test_without_the_right_to_create_databases_it_is_unproven(limited: Place) -> None:
    report = limited.made()
    assert report.state == "unproven", report.reason
    assert report.reason == "PostgreSQL refuses: permission denied to create database."
    assert report.size
    with pytest.raises(BackupError, match=r"ALTER ROLE .* CREATEDB, or name a role"):
        limited.restore(report.name)


def test_another_role_proves_and_restores_what_the_first_owns(
    limited: Place, on_server: Place
) -> None:
    place = limited.having(BACKUP_DB_URL=on_server.url)
    manifest = place.proven()
    place.restore(manifest.name, drop_old=True)
    owners = on_server.run("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert owners == [(urlsplit(limited.url).username,)]
    assert limited.run("SELECT count(*) FROM users") == [(1,)]
    assert limited.run("SELECT pg_get_userbyid(datdba) FROM pg_database "
                       "WHERE datname = current_database()") == owners  # fmt: skip


def test_without_a_fitting_program_nothing_is_made(on_server: Place, tmp_path: Path) -> None:
    report = on_server.having(BACKUP_PG_BIN=str(tmp_path)).made()
    assert report.state == "failed"
    assert "needs pg_dump and pg_restore of that version: none is installed." in report.reason


def test_an_older_program_does_not_fit(tmp_path: Path) -> None:
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 15.4'\n")
        (tmp_path / name).chmod(0o755)
    assert postgres_programs.programs_for(15, str(tmp_path)).major == 15
    assert postgres_programs.programs_for(14, str(tmp_path)).major == 15
    with pytest.raises(BackupError, match="the installed ones are of 15"):
        postgres_programs.programs_for(16, str(tmp_path))


def test_scratch_databases_are_dropped_also_after_a_crash(on_server: Place) -> None:
    name = urlsplit(on_server.url).path[1:]
    left = postgres_beside.beside_name(name, "proof_0badcafe")
    others = f"{left}x"
    _execute(
        on_server.url,
        f'CREATE DATABASE "{left}"',
        f"COMMENT ON DATABASE \"{left}\" IS '{postgres_beside.MADE_BY_US}'",
        f'CREATE DATABASE "{others}"',
    )
    on_server.proven()
    assert {each for each in _databases(on_server.url) if each.startswith(f"{name}_")} == {others}
    _execute(on_server.url, f'DROP DATABASE "{others}"')


def test_the_password_is_in_no_argument_and_no_variable(
    limited: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    begin = subprocess.Popen

    def note(command: list[str], **named: object) -> object:
        seen.extend((*map(str, command), str(named["env"])))
        return begin(command, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", note)
    limited.made()
    assert any("pg_dump" in each for each in seen)
    assert [each for each in seen if "p'ass" in each] == []


@pytest.mark.parametrize("name", ["PGPASSWORD", "PGPASSFILE"])
def test_a_password_that_connects_also_dumps(
    limited: Place, on_server: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "pgpass").write_text("*:*:*:*:p'ass\n")
    (tmp_path / "pgpass").chmod(0o600)
    user = make_url(limited.url).username
    _execute(on_server.url, f'ALTER ROLE "{user}" CREATEDB')
    monkeypatch.setenv(name, "p'ass" if name == "PGPASSWORD" else str(tmp_path / "pgpass"))
    without = Place(limited.folder, limited.url.replace(":p'ass", ""), limited.variables)
    assert without.proven().tables["users"].rows == 1


def test_a_dump_that_fails_leaves_no_part(
    on_server: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing = tmp_path / "pg_dump"
    failing.write_text("#!/bin/sh\necho 'pg_dump: error: no' >&2\nexit 1\n")
    failing.chmod(0o755)
    programs = postgres_programs.Programs(tmp_path, 18)
    monkeypatch.setattr(making, "programs_for", lambda *_: programs)
    assert on_server.made().reason == "pg_dump: no."
    assert list(on_server.backups.iterdir()) == []


def test_what_a_dump_lacks_is_copied(on_server: Place) -> None:
    name = postgres.quoted(urlsplit(on_server.url).path[1:])
    _execute(
        on_server.url,
        f"ALTER DATABASE {name} SET work_mem = '5MB'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 77",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
    )
    on_server.proven()
    on_server.restore(drop_old=True)
    assert on_server.run("SHOW work_mem") == [("5MB",)]
    about = "SELECT datconnlimit, datacl::text FROM pg_database WHERE datname = current_database()"
    ((limit, rights),) = on_server.run(about)
    assert limit == 77
    assert ",=" not in rights.replace("=T/", "")


def test_the_owner_of_a_session_is_named(on_server: Place) -> None:
    on_server.proven()

    async def restore_meanwhile() -> None:
        connection = await asyncpg.connect(
            on_server.url, server_settings={"application_name": "psql of somebody"}
        )
        try:
            with pytest.raises(BackupError, match="psql of somebody"):
                await asyncio.to_thread(on_server.restore)
        finally:
            await connection.close()

    asyncio.run(restore_meanwhile())


def test_sessions_of_pgbouncer_are_never_used(on_server: Place) -> None:
    """What a backup sets in a session would stay there for the statements of requests."""
    report = on_server.having(DB_PGBOUNCER="true").made()
    assert report.state == "failed"
    assert "set BACKUP_DB_URL to the address of PostgreSQL itself" in report.reason
    beside = on_server.having(DB_PGBOUNCER="true", BACKUP_DB_URL=on_server.url)
    assert beside.made().state == "proven"


def test_a_dump_without_its_checksums_is_not_left(
    on_server: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object) -> None:
        raise ConnectionResetError("gone")

    monkeypatch.setattr(postgres, "tables", lose)
    assert on_server.made().reason == "PostgreSQL refuses: gone."
    assert list(on_server.backups.iterdir()) == []
