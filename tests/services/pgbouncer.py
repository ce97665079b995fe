"""PgBouncer in front of a test's database, where it is installed; no Python package brings it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from backstay.testing.waiting import LIMIT, until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_SETTINGS = """\
[databases]
* = host={host} port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


class PgBouncer:
    """Lets the clients of one database share ``size`` sessions of it, by transactions.

    No Python package brings it: where it is not installed, the test is skipped, and says so.
    """

    def __init__(self, url: str, size: int = 1) -> None:
        if PROGRAM is None:
            pytest.skip("pgbouncer is not installed")
        self._server, self._size = urlsplit(url), size

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="backstay-pgbouncer-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        file, uid = self._folder / "pgbouncer.ini", _owner()
        file.touch(0o600)
        file.write_text(
            _SETTINGS.format(
                host=self._server.hostname,
                server=self._server.port,
                user=self._server.username,
                password=self._server.password,
                port=self._port,
                size=self._size,
            )
        )
        for path in (self._folder, file):
            os.chown(path, uid if uid is not None else -1, -1)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it, at the same address as before."""
        command = [str(PROGRAM), str(self._folder / "pgbouncer.ini")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=_owner())
        until(self._listens)

    def stop(self) -> None:
        """Kill it: clients lose their connections, and servers theirs."""
        self._process.kill()
        self._process.wait(LIMIT)

    @property
    def url(self) -> str:
        """The address of the database through it, with the async driver."""
        return f"postgresql+asyncpg://anyone@127.0.0.1:{self._port}{self._server.path}"

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _owner() -> int | None:
    """The user that runs it; it refuses root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
