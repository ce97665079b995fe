"""The Vitals port: asks the database, within a bound."""

import asyncio
from collections.abc import Awaitable, Callable

from backstay.core.errors import AppError
from backstay.db.session import Database

PATIENCE = 1.5
"""Seconds after which a database that does not answer counts as down."""


class DatabaseVitals:
    """Looks after the database; ``schema_fault`` says what is wrong with its schema."""

    def __init__(
        self, database: Database, schema_fault: Callable[[], Awaitable[str | None]]
    ) -> None:
        self._database = database
        self._schema_fault = schema_fault

    async def checks(self) -> dict[str, str]:
        """The state of each dependency; there is no cache and no queue to fail."""
        fault = await self._bounded(self._database.ping)
        return {"database": "error" if fault else "ok", "cache": "off", "queue": "off"}

    async def why_not_ready(self) -> str | None:
        """Why no request should be sent here, or None when they may."""
        return await self._bounded(self._database.ping) or await self._bounded(self._schema_fault)

    async def _bounded(self, ask: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await ask()
        except TimeoutError:
            return f"the database did not answer within {PATIENCE} s"
        except AppError as error:
            return error.detail
