"""A PostgreSQL streaming replica for tests."""

import os
import tempfile
from pathlib import Path

from backstay.testing.postgres_server import PostgresServer, _name, _owner


class PostgresReplica(PostgresServer):
    """A streaming replica (hot standby) of another server, with the databases of that one."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(max_connections=primary.max_connections)
        self._primary = primary
        self._password = primary._password

    def url_of(self, url: str) -> str:
        """The URL at which the replica has a database of the primary."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/{_name(url)}"

    def pause(self) -> None:
        """Let the replica fall behind: it does not replay what it receives."""
        self._sql("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Replay again."""
        self._sql("SELECT pg_wal_replay_resume()")

    def _initialise(self) -> None:
        primary = self._primary
        self._programs = primary._programs
        self._folder = Path(tempfile.mkdtemp(prefix="backstay-pg-", dir=primary.folder.parent))
        os.chown(self._folder, *_owner())
        self._run(
            "pg_basebackup", "--pgdata=data", "--write-recovery-conf", "--checkpoint=fast",
            "--no-sync", f"--host={primary.folder}", f"--port={primary._port}",
            "--username=postgres",
        )  # fmt: skip
