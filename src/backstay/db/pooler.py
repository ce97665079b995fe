"""Connections through PgBouncer: clients share sessions, so limits are set in each transaction."""

from math import ceil
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


def pooled(seconds: float, *, read_only: bool) -> dict[str, Any]:
    """Arguments for the driver, which then keeps no prepared statement after its use."""
    return {
        "connection_class": _limited(seconds, read_only=read_only),
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _limited(seconds: float, *, read_only: bool) -> type[Any]:
    """A connection class whose transactions set their timeouts and whether they may write.

    The settings are sent together with BEGIN, so they cost no round trip, and end with the
    transaction, so the next client of the same session does not inherit them. A transaction that
    writes sets READ WRITE, because the role's default may be read-only. ``seconds`` of 0 means no
    timeout.
    """
    limit = ceil(seconds * 1000)
    settings = (
        f" SET LOCAL statement_timeout = {limit};"
        f" SET LOCAL idle_in_transaction_session_timeout = {limit};"
    )
    access = "READ ONLY" if read_only else "READ WRITE"

    class Limited(Connection):
        async def execute(
            self,
            query: str,
            *arguments: Any,
            timeout: float | None = None,  # noqa: ASYNC109
        ) -> str:
            if not query.startswith("BEGIN"):
                return await super().execute(query, *arguments, timeout=timeout)
            begin = query.removesuffix(";").removesuffix(" READ ONLY")
            wanted = "READ ONLY" if query.endswith(" READ ONLY;") else access
            try:
                return await super().execute(f"{begin} {wanted};{settings}", timeout=timeout)
            except asyncpg.FeatureNotSupportedError as error:  # a standby refuses READ WRITE
                raise asyncpg.ReadOnlySQLTransactionError(str(error)) from error

    return Limited
