"""The PrincipalChannel port on SQLite: the file itself tells that somebody has written."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
from sqlalchemy.exc import SQLAlchemyError

from backstay.caching.memory import MemoryCache
from backstay.db import sqlite
from backstay.db.engine import driver_arguments
from backstay.db.session import Database
from backstay.principals.cache import PrincipalCache
from backstay.principals.channel import Beat, SharedPrincipals


class SqlitePrincipals(SharedPrincipals):
    """Forgets everything when another process has committed, whatever it was.

    SQLite tells a connection whether any other connection has committed. The one that watches
    learns of every commit, also of this process; then the connection that writes for this process
    is asked, to which only the commits of other processes are news.
    """

    def __init__(
        self,
        cache: PrincipalCache,
        database: Database,
        report: Callable[[bool], None],
        answers: MemoryCache | None = None,
    ) -> None:
        super().__init__(cache, report, answers)
        self._database = database
        self._others: tuple[object, int] | None = None

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Beat]:
        """Watch the version of the file."""
        (path,), arguments = driver_arguments(self._database.options, "")
        async with sqlite.in_use().connect(path, **arguments) as connection:
            seen = await _version(connection)
            await self._another_wrote()

            async def beat() -> None:
                nonlocal seen
                version = await _version(connection)
                if version != seen and await self._another_wrote():
                    self.flush()
                seen = version

            yield beat

    async def _another_wrote(self) -> bool:
        before = self._others
        try:
            async with self._database.writer.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                self._others = driver, await _version(driver)
        except SQLAlchemyError:
            return True
        return self._others != before


async def _version(connection: aiosqlite.Connection) -> int:
    """A number that changes when any other connection has committed."""
    ((version,),) = await connection.execute_fetchall("PRAGMA data_version")
    return int(version)
