"""What the measured requests meet: a database with rows in it and the servers in front of it."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg

from backstay.composition import Backstay, compose, seed
from backstay.core.listing import Text
from backstay.core.permissions import Scope
from backstay.core.ports import AccessClaims
from backstay.core.representation import Representation
from backstay.db import migrate
from backstay.db.options import create_file
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
from benchmarks.load import Request
from benchmarks.rows import fill, items_of, new_refresh_tokens, writing

ROWS = 1_000_000
PASSWORD = "correct horse battery"
UNLIMITED = "1000000/second"
ROLES = 50
ACCOUNTS = 32
"""How many people sign in by turns: a password guess waits while the same account has others."""
CHANGED = 1000
"""How many items are changed by turns, so that no two requests wait for one row."""
REFRESHED = 60_000
"""How many sessions are there to be refreshed, each once: a client does it every ten minutes."""
PATIENCE = 120
"""Seconds in which a server starts or ends, also on a busy machine."""


@dataclass(frozen=True)
class Server:
    """A server with one worker on a processor of its own."""

    base: str
    pids: list[int]

    def asked(self, requests: Iterable[Request]) -> list[Request]:
        """The same requests, sent to this server."""
        return [replace(each, url=self.base + each.url) for each in requests]


@dataclass(frozen=True)
class Stage:
    """Who asks for what. ``busy`` is the user whose items are changed, whose sessions refreshed;
    ``admin`` may see the items of everybody."""

    environ: dict[str, str]
    token: str
    admin: AccessClaims
    admin_token: str
    emails: tuple[str, ...]
    item: str
    tag: str
    deep_id: str
    deep_token: str
    deep_cursor: str
    roles_token: str
    roles_item: str
    busy_id: str
    busy_token: str
    busy_items: tuple[str, ...]
    refresh_tokens: tuple[str, ...]

    @property
    def url(self) -> str:
        """The URL of the database."""
        return self.environ["DATABASE_URL"]


def environ_for(url: str, folder: Path) -> dict[str, str]:
    """The settings of both servers: limits on, but out of reach; no access log."""
    root = Path(__file__).parents[1]
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "SECURITY_SECRET_KEY": secrets.token_urlsafe(48),
        "SECURITY_REFRESH_TOKEN_SECRET": secrets.token_urlsafe(48),
        "ADMIN_PASSWORD": PASSWORD,
        "SECURITY_LOGIN_RATE_LIMIT": UNLIMITED,
        "SECURITY_REFRESH_RATE_LIMIT": UNLIMITED,
        "RATE_LIMIT_DEFAULT": "1000000000",
        "SECURITY_ACCESS_TOKEN_EXPIRE_SECONDS": "7200",
        "SERVER_LOG": "false",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": f"{root / 'src'}:{root}",  # the code beside this file, whatever is installed
        "HOME": str(folder),
    }


def without_limits(stage: Stage) -> Stage:
    """The same for a server that counts nothing."""
    return replace(stage, environ=stage.environ | {"RATE_LIMIT_ENABLED": "false"})


def prepare(url: str, folder: Path, rows: int = ROWS) -> Stage:
    """Migrate, seed, register people; one has so many items, another fifty roles."""
    return asyncio.run(_prepare(url, environ_for(url, folder), folder, rows))


async def _prepare(url: str, environ: dict[str, str], folder: Path, rows: int) -> Stage:
    backstay = compose(load_settings(environ=environ, directory=folder))
    create_file(backstay.database.options)
    await migrate.upgrade(backstay.database.options)
    await seed(backstay)
    emails = tuple(f"{number}@example.org" for number in range(ACCOUNTS))
    for email in emails:
        await _register(backstay, email)
    counts = {"few": 200, "many": rows + 100, "roles": 200, "busy": CHANGED}
    people = {name: await _signed_in(backstay, f"{name}@example.org") for name in counts}
    await _join_roles(backstay, people["roles"].id)
    admin_token = await _token(backstay, backstay.settings.admin.email)
    items = {}
    async with writing(url) as connection:
        for name, count in counts.items():
            await fill(connection, people[name].id, count)
            items[name] = await items_of(connection, people[name].id, CHANGED)
    if not backstay.database.options.is_sqlite:
        await _vacuum(url)
    tag = Representation.of(await backstay.system(GetItem(id=UUID(items["few"][0])))).etag or ""
    await backstay.close()
    secret = environ["SECURITY_REFRESH_TOKEN_SECRET"]
    deep = items["many"][50]
    return Stage(
        environ=environ,
        token=people["few"].token,
        admin=backstay.tokens.verify(admin_token),
        admin_token=admin_token,
        emails=emails,
        item=items["few"][0],
        tag=tag,
        deep_id=deep,
        deep_token=people["many"].token,
        deep_cursor=Cursors(secret.encode()).sign(["ListItems", [], False, [deep]]),
        roles_token=people["roles"].token,
        roles_item=items["roles"][0],
        busy_id=str(people["busy"].id),
        busy_token=people["busy"].token,
        busy_items=tuple(items["busy"]),
        refresh_tokens=new_refresh_tokens(secret, REFRESHED),
    )


class _Person(NamedTuple):
    id: UUID
    token: str


async def _register(backstay: Backstay, email: str) -> UUID:
    return (await backstay.system(RegisterUser(email=email, password=PASSWORD))).id


async def _signed_in(backstay: Backstay, email: str) -> _Person:
    return _Person(await _register(backstay, email), await _token(backstay, email))


async def _token(backstay: Backstay, email: str) -> str:
    return (await backstay.system(Login(email=email, password=PASSWORD))).access_token


async def _vacuum(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


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


@contextmanager
def serving(
    target: str, environ: Mapping[str, str], *options: str, workers: int = 1, **variables: str
) -> Iterator[Server]:
    """A granian on the server's processors, one per worker; ended with the block."""
    port = _free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--workers", str(workers)]
    command += ["--port", str(port), "--loop", "uvloop", "--log-level", "error", *options, target]
    process = subprocess.Popen(
        command,
        env={**environ, **variables},
        cwd=environ["HOME"],
    )
    os.sched_setaffinity(process.pid, machine.server_cores(workers))
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_for(base, process)
        yield Server(base, machine.family(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def _wait_for(base: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
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
