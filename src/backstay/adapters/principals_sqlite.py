"""The PrincipalChannel port on SQLite: the file itself tells that somebody has written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite

from backstay.adapters.principals_shared import Beat, SharedPrincipals
from backstay.core.principal import PrincipalCache
from backstay.db.engine import driver_arguments
from backstay.db.session import Database


class SqlitePrincipals(SharedPrincipals):
    """Forgets everything when another process has committed, whatever it was."""

    def __init__(self, cache: PrincipalCache, database: Database) -> None:
        super().__init__(cache)
        self._database = database

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Beat]:
        """Watch the version of the file."""
        (path,), arguments = driver_arguments(self._database.options)
        async with aiosqlite.connect(path, **arguments) as connection:
            seen = await _version(connection)

            async def beat() -> None:
                nonlocal seen
                version = await _version(connection)
                if version != seen:
                    seen = version
                    self.flush()

            yield beat


async def _version(connection: aiosqlite.Connection) -> int:
    """A number that changes when any other connection has committed."""
    ((version,),) = await connection.execute_fetchall("PRAGMA data_version")
    return int(version)
