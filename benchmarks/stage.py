"""What the measured requests meet: a PostgreSQL with rows in it and the two servers in front."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID

import asyncpg

from backstay.composition import Backstay, compose, seed
from backstay.core.listing import Text
from backstay.core.permissions import Scope
from backstay.core.representation import Representation
from backstay.db import migrate
from backstay.db.paging import Cursors
from backstay.features.access.commands.grants import GrantPermission
from backstay.features.access.commands.members import AssignRole
from backstay.features.access.commands.roles import CreateRole
from backstay.features.access.queries.permissions import ListPermissions
from backstay.features.auth.commands.sign_in import Login
from backstay.features.items.queries import GetItem
from backstay.features.users.commands.accounts import RegisterUser
from backstay.settings import load_settings
from benchmarks import machine

ROWS = 1_000_000
PASSWORD = "correct horse battery"
UNLIMITED = "1000000/second"
ROLES = 50


@dataclass(frozen=True)
class Server:
    """A server with one worker on a processor of its own."""

    base: str
    pids: list[int]


@dataclass(frozen=True)
class Stage:
    """Who asks for what."""

    environ: dict[str, str]
    token: str
    email: str
    item: str
    tag: str
    deep_id: str
    deep_token: str
    deep_cursor: str
    roles_token: str
    roles_item: str


def environ_for(url: str, folder: Path) -> dict[str, str]:
    """The settings of both servers: limits on, but out of reach; no access log."""
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "SECURITY_SECRET_KEY": secrets.token_urlsafe(48),
        "SECURITY_REFRESH_TOKEN_SECRET": secrets.token_urlsafe(48),
        "SECURITY_LOGIN_RATE_LIMIT": UNLIMITED,
        "RATE_LIMIT_DEFAULT": "1000000000",
        "SECURITY_ACCESS_TOKEN_EXPIRE_SECONDS": "7200",
        "SERVER_LOG": "false",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
        "HOME": str(folder),
    }


def without_limits(stage: Stage) -> Stage:
    """The same for a server that counts nothing."""
    return replace(stage, environ=stage.environ | {"RATE_LIMIT_ENABLED": "false"})


def prepare(url: str, folder: Path) -> Stage:
    """Migrate, seed, register three people; one has a million items, another fifty roles."""
    return asyncio.run(_prepare(url, environ_for(url, folder), folder))


async def _prepare(url: str, environ: dict[str, str], folder: Path) -> Stage:
    settings = load_settings(environ=environ, directory=folder)
    backstay = compose(settings)
    await migrate.upgrade(backstay.database.options)
    await seed(backstay)
    tokens, ids = {}, {}
    for name in ("few", "many", "roles"):
        email = f"{name}@example.org"
        registered = await backstay.system(RegisterUser(email=email, password=PASSWORD))
        login = Login(email=email, password=PASSWORD)
        tokens[name] = (await backstay.system(login)).access_token
        ids[name] = registered.id
    await _join_roles(backstay, ids["roles"])
    connection = await asyncpg.connect(url)
    for name, rows in (("many", ROWS + 100), ("few", 200), ("roles", 200)):
        await connection.execute(
            "INSERT INTO items (id, title, owner_id, created_at, updated_at, version) "
            "SELECT uuidv7(), 'item ' || n, $1, now(), now(), 1 FROM generate_series(1, $2) n",
            ids[name],
            rows,
        )
    items = {
        name: await connection.fetchval("SELECT id FROM items WHERE owner_id = $1 LIMIT 1", owner)
        for name, owner in ids.items()
    }
    deep = await connection.fetchval(
        "SELECT id FROM items WHERE owner_id = $1 ORDER BY id LIMIT 1 OFFSET 50", ids["many"]
    )
    tag = Representation.of(await backstay.system(GetItem(id=items["few"]))).etag or ""
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    secret = environ["SECURITY_REFRESH_TOKEN_SECRET"].encode()
    cursor = Cursors(secret).sign(["ListItems", [], False, [str(deep)]])
    await backstay.close()
    return Stage(
        environ,
        tokens["few"],
        "few@example.org",
        str(items["few"]),
        tag,
        str(deep),
        tokens["many"],
        cursor,
        tokens["roles"],
        str(items["roles"]),
    )


async def _join_roles(backstay: Backstay, user_id: UUID) -> None:
    """Besides the role of every user, as many as make fifty; each grants the same at its level."""
    send = backstay.system
    own = (await send(ListPermissions(resource=Text(eq="items")))).items
    for level in range(1, ROLES):
        role = await send(CreateRole(name=f"role {level}", level=level))
        for each in own:
            grant = GrantPermission(role_id=role.id, permission_id=each.id, scope=Scope.OWN)
            await send(grant)
        await send(AssignRole(role_id=role.id, user_id=user_id))


async def reset(url: str) -> None:
    """Remove what a round has written."""
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM items WHERE title = 'made by the benchmark'")
    await connection.execute("DELETE FROM sessions WHERE user_agent IN ('wrk', 'bare')")
    await connection.close()


@contextmanager
def serving(
    target: str, stage: Stage, *options: str, workers: int = 1, **variables: str
) -> Iterator[Server]:
    """A granian on the server's processors, one per worker; ended with the block."""
    port = _free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--workers", str(workers)]
    command += ["--port", str(port), "--loop", "uvloop", "--log-level", "error", *options, target]
    process = subprocess.Popen(
        command,
        env=stage.environ | variables,
        cwd=stage.environ["HOME"],
    )
    os.sched_setaffinity(process.pid, machine.server_cores(workers))
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_for(base, process)
        yield Server(base, machine.family(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_for(base: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection(base.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/livez")
            connection.getresponse()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise RuntimeError("a server did not start: its messages are above")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
