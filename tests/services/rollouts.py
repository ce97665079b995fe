"""Replaces real servers and workers behind nginx again and again under load; nothing may be lost.

    python -m tests.services.rollouts [--deploys 20] [--rollbacks 3] [--schema]

PostgreSQL, supervisord with `supervisorctl`, nginx with TLS, two servers and two workers are real;
so is `release.sh`. With ``--schema`` each release has a migration more than the one before.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from backstay.testing import ADMIN_EMAIL, PASSWORD
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, eventually, until
from tests.cli.load import Caller
from tests.cli.process import KEYS, SOURCE
from tests.services.deployed_nginx import DOMAIN
from tests.services.machine import OPTIONS, Machine, machine
from tests.services.rolling_load import Load

SUPERVISOR = """\
[unix_http_server]
file = supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{folder}/supervisor.sock
[supervisord]
nodaemon = true
logfile = supervisor.log
pidfile = supervisor.pid
"""
PROGRAM = """\
[program:{name}]
command = {folder}/opt/instances/{port}/bin/{role} {port}
autostart = false
startsecs = 0
stopwaitsecs = 60
redirect_stderr = true
stdout_logfile = {name}.log
"""
ROLE = """\
case $APP_VERSION in *-broken) export DB_POOL_TIMEOUT=never ;; esac
. {folder}/environment
{schema}
cd {folder}
exec {python} -m backstay {command}
"""
SCHEMA = """\
ROLLING_MIGRATIONS={folder}/releases-schema/$APP_VERSION
mkdir -p $ROLLING_MIGRATIONS
{python} -m tests.services.rolling_schema $ROLLING_MIGRATIONS $APP_VERSION
"""
COMMANDS = {"api": 'serve --port "$1"', "worker": 'worker --port "$1"', "migrate": "db upgrade"}


@contextmanager
def supervised(folder: Path, named: Mapping[str, int]) -> Iterator[str]:
    """supervisord keeps the processes."""
    programs = (
        PROGRAM.format(name=name, role=name.partition("-")[0], port=port, folder=folder)
        for name, port in named.items()
    )
    conf = folder / "supervisor.conf"
    conf.write_text(SUPERVISOR.format(folder=folder) + "".join(programs))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    with (folder / "supervisor.out").open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        until((folder / "supervisor.sock").exists, (folder / "supervisor.out").read_text)
        yield f'"{sys.executable}" -m supervisor.supervisorctl -c {conf} "$@"'
    finally:
        process.terminate()
        process.wait(LIMIT)


def scripts(folder: Path, url: str, *, schema: bool) -> dict[str, str]:
    """The programs of every release."""
    variables = {
        **KEYS,
        "ENVIRONMENT": "production",
        "BACKSTAY_APP": "tests.services.rolling_app:application",
        "DATABASE_URL": url,
        "ADMIN_PASSWORD": f"'{PASSWORD}'",
        "APP_PUBLIC_URL": f"https://{DOMAIN}",
        "RATE_LIMIT_ENABLED": "false",
        "SECURITY_ACCESS_TOKEN_EXPIRE_SECONDS": "86400",
        "SERVER_DRAIN_SECONDS": str(OPTIONS.drain),
        "SERVER_GRACEFUL_TIMEOUT": str(OPTIONS.grace),
        "SERVER_TRUSTED_PROXIES": "127.0.0.1/32",
        "SERVER_LOG": "false",
        "LOG_DIR": "''",
        "ROLLING_FOLDER": str(folder),
        "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}",
    }
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    (folder / "environment").write_text(lines)
    (folder / "environment").chmod(0o600)
    (folder / "jobs").touch()
    python = sys.executable
    added = SCHEMA.format(folder=folder, python=python) if schema else ""
    return {
        role: ROLE.format(folder=folder, schema=added, python=python, command=command)
        for role, command in COMMANDS.items()
    }


async def sign_in(host: Machine) -> str:
    """An access token of the administrator."""
    caller = Caller(host.nginx.tls, host=DOMAIN, tls=host.nginx.trust)
    document = {"email": ADMIN_EMAIL, "password": PASSWORD, "transport": "body"}
    status, body = await caller("POST", "/api/v1/auth/login", document)
    await caller.close()
    assert status == 200, body
    found: str = json.loads(body)["access_token"]
    return found


def steps(deploys: int, rollbacks: int) -> Iterator[tuple[str, ...]]:
    """The commands in their order, with a bad release in the middle."""
    every = deploys // rollbacks if rollbacks else deploys + 1
    done = 0
    for number in range(1, deploys + 1):
        yield "deploy", f"r{number}", "-"
        if number == deploys // 2:
            yield "deploy", f"r{number}-broken", "-"
        if number % every == 0 and done < rollbacks:
            done += 1
            yield ("rollback",)


async def roll(host: Machine, load: Load, deploys: int, rollbacks: int) -> None:
    """Run all commands, then let the jobs end and the clients go."""
    for command in steps(deploys, rollbacks):
        began = time.monotonic()
        bad = command[-2:-1] and command[1].endswith("-broken")
        await asyncio.to_thread(host.run, *command, code=1 if bad else 0)
        took, requests = time.monotonic() - began, sum(load.answered.values())
        said = (
            f"{' '.join(command[:2]):24} {took:5.1f} s, {requests} requests, {len(load.lost)} lost"
        )
        print(said, *load.lost[:3], sep="\n  " if load.lost else "", flush=True)
    load.done.set()


def told(folder: Path) -> "Counter[str]":
    """What jobs have told, by line."""
    return Counter((folder / "jobs").read_text().splitlines())


async def measure(host: Machine, deploys: int, rollbacks: int) -> Load:
    """Deploy, go back, and wait for the last job."""
    load = Load(host.nginx, await sign_in(host))
    running = asyncio.create_task(load.run())
    rolling = asyncio.create_task(roll(host, load, deploys, rollbacks))
    await asyncio.wait({running, rolling}, return_when=asyncio.FIRST_EXCEPTION)
    load.done.set()
    await running
    await rolling
    ended = {f"end {number}" for number in load.jobs}
    await eventually(lambda: ended <= told(host.folder).keys())
    return load


async def stored(url: str) -> "Counter[str]":
    """How often each title is in the database."""
    connection = await asyncpg.connect(url)
    try:
        return Counter(row["title"] for row in await connection.fetch("SELECT title FROM items"))
    finally:
        await connection.close()


def judge(load: Load, titles: "Counter[str]", jobs: "Counter[str]") -> bool:
    """Print what came of it; whether all is well."""
    missing = load.titles - titles.keys()
    doubled = [title for title, count in titles.items() if count > 1]
    again = [line for line, count in jobs.items() if count > 1]
    print(f"\nanswered: {dict(load.answered)} over {load.connections} connections")
    print(f"lost: {len(load.lost)}; reads that met the end of a connection: {load.reused_too_late}")
    print(f"writes acknowledged: {len(load.titles)}, missing {len(missing)}, twice {len(doubled)}")
    print(
        f"jobs: {len(load.jobs)} enqueued, all done; begun or done twice: {len(again)} {again[:5]}"
    )
    print(f"WebSockets: {dict(load.sockets)}")
    print(*load.lost[:20], sep="\n")
    return not (load.lost or load.reused_too_late or missing or doubled or again)


def main() -> int:
    """Run it with a database of its own."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--deploys", type=int, default=20)
    asked.add_argument("--rollbacks", type=int, default=3)
    asked.add_argument("--schema", action="store_true")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="rollouts-") as name, PostgresServer() as postgres:
        folder, url = Path(name), postgres.create_database()
        programs = scripts(folder, url, schema=given.schema)
        with machine(folder, programs, supervised, workers=2) as host:
            print(host.run("deploy", "r0", "-"))
            load = asyncio.run(measure(host, given.deploys, given.rollbacks))
            print(host.run("status"))
            jobs = told(folder)
        return 0 if judge(load, asyncio.run(stored(url)), jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
