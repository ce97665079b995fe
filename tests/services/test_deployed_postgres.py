"""The deployed scripts make a database and a replica of it, which let in whom they should."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.ports import free_port
from backstay.testing.postgres_server import PostgresServer, _owner
from backstay.testing.waiting import LIMIT, eventually, until

pytestmark = pytest.mark.anyio
SECRETS = {"db_password": "of the application", "replication_password": "of replicas"}


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def environ(primary: PostgresServer, folder: Path) -> dict[str, str]:
    """What the scripts find in their container."""
    address = urlsplit(primary.create_database())
    files = folder / "files"
    for path, text in render_deploy(DeployOptions(name="shop")).items():
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        (files / path).write_text(text)
    for name, text in SECRETS.items():
        (files / name).write_text(text)
    return {
        "PATH": f"{primary._programs}{os.pathsep}{os.environ['PATH']}",
        "SECRETS": str(files),
        "PGHOST": str(address.hostname),
        "PGPORT": str(address.port),
        "PGPASSWORD": str(address.password),
        "PRIMARY_HOST": str(address.hostname),
        "PRIMARY_PORT": str(address.port),
        "PGDATA": str(folder / "data" / "replica"),
    }


@contextmanager
def replica(primary: PostgresServer, folder: Path, given: dict[str, str]) -> Iterator[int]:
    """The port of a replica that the script starts; the folder belongs to who runs it."""
    files, port = folder / "files/deploy/postgres", free_port()
    settings = {
        "config_file": files / "primary.conf",
        "hba_file": files / "pg_hba.conf",
        "unix_socket_directories": folder,
        "port": port,
        "listen_addresses": "127.0.0.1",
        "max_connections": primary.max_connections,
    }
    options = [part for pair in settings.items() for part in ("-c", "{}={}".format(*pair))]
    uid, gid = (None if each == -1 else each for each in _owner())
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["bash", files / "replica.sh", *options],
            cwd=folder,
            env=given,
            stdout=log,
            stderr=log,
            user=uid,
            group=gid,
        )
    said = (folder / "log").read_text
    try:
        until(lambda: "ready to accept read-only" in said() or process.poll() is not None, said)
        assert process.poll() is None, said()
        yield port
    finally:
        process.terminate()
        process.wait(LIMIT)


def initialise(folder: Path, given: dict[str, str]) -> None:
    script = folder / "files/deploy/postgres/init.sh"
    subprocess.run(["bash", script], env=given, check=True, timeout=LIMIT)


@pytest.fixture
def folder(primary: PostgresServer) -> Iterator[Path]:
    """A folder that the user who runs PostgreSQL may enter and write."""
    primary.create_database()  # starts it
    with TemporaryDirectory(prefix="backstay-pg-", dir=primary.folder.parent) as name:
        os.chown(name, *_owner())
        yield Path(name)


async def test_a_replica_lets_in_the_application_and_nobody_else(
    primary: PostgresServer, folder: Path
) -> None:
    given = environ(primary, folder)
    initialise(folder, given)
    where: dict[str, Any] = {
        "host": "127.0.0.1",
        "user": "shop",
        "password": SECRETS["db_password"],
    }
    writer = await asyncpg.connect(port=int(given["PGPORT"]), database="shop", **where)
    await writer.execute("CREATE TABLE notes (text text)")
    assert not await writer.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    with replica(primary, folder, given) as port:
        reader = await asyncpg.connect(port=port, database="shop", **where)
        await writer.execute("INSERT INTO notes VALUES ('kept')")
        await eventually(lambda: reader.fetchval("SELECT text FROM notes"))
        assert await reader.fetchval("SELECT pg_is_in_recovery()")
        for wrong in ({"database": "template1"}, {"database": "shop", "password": "guessed"}):
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await asyncpg.connect(port=port, **{**where, **wrong})
        await reader.close()
    (folder / "data/replica/kept").touch()
    with replica(primary, folder, given):
        assert (folder / "data/replica/kept").exists(), "a second start copies nothing"
    await writer.close()
