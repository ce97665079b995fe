"""Connections through PgBouncer, which keeps no sessions apart: each transaction has its limits."""

from math import ceil
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


def pooled(seconds: float, *, read_only: bool) -> dict[str, Any]:
    """What the driver needs to be told, which then prepares no statement that outlives its use."""
    return {
        "connection_class": _limited(seconds, read_only=read_only),
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: "",
    }


def _limited(seconds: float, *, read_only: bool) -> type[Any]:
    """Connections whose transactions say how long they may take, and whether they may write.

    It is said together with BEGIN, so that it costs no round trip, and ends with the transaction,
    so that the next client of the same session does not find it. A transaction that writes says
    so: the role may be one that does not, unless it is told to. ``seconds`` are without end at 0.
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
            except asyncpg.FeatureNotSupportedError as error:  # a standby takes no READ WRITE
                raise asyncpg.ReadOnlySQLTransactionError(str(error)) from error

    return Limited
