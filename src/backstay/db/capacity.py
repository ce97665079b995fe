"""Checks that PostgreSQL allows as many connections as the application's processes may open."""

from dataclasses import dataclass

import asyncpg

from backstay.db.options import EngineOptions, driver_arguments
from backstay.settings.groups.db import FEWEST

MIGRATION = 2
"""Connections of `backstay db upgrade`: one migrates, one reads the state of the schema."""

_LIMITS = """
SELECT current_setting('max_connections')::int
     - current_setting('superuser_reserved_connections')::int
     - coalesce(current_setting('reserved_connections', true), '0')::int AS server,
       datconnlimit AS database, rolconnlimit AS role
  FROM pg_database, pg_roles
 WHERE datname = current_database() AND rolname = current_user
"""
_NAMES = {
    "server": "the server (max_connections less those it reserves)",
    "database": "the database (its CONNECTION LIMIT)",
    "role": "the role (its CONNECTION LIMIT)",
}


@dataclass(frozen=True, slots=True)
class Demand:
    """The connections that an application may open: ``each`` per serving process and per worker."""

    processes: int
    workers: int
    each: int

    @property
    def total(self) -> int:
        """All of them, plus those of a migration at the same time."""
        return (self.processes + self.workers) * self.each + MIGRATION


async def shortage(options: EngineOptions, processes: int, workers: int = 1) -> str | None:
    """What is wrong if all these processes open all the connections they may open, or None.

    It is also None if the database cannot be reached, and behind PgBouncer, whose own settings
    limit the connections of its clients and those to the server.
    """
    if options.is_sqlite or options.pgbouncer:
        return None
    _, arguments = driver_arguments(options, "backstay")
    try:
        connection = await asyncpg.connect(**arguments)
        try:
            row = await connection.fetchrow(_LIMITS)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    return shortage_of(Demand(processes, workers, options.max_connections), dict(row or {}))


def shortage_of(demand: Demand, limits: dict[str, int]) -> str | None:
    """The sentence about the lowest limit, if it is exceeded; a negative value is no limit."""
    name, limit = min(
        ((name, limit) for name, limit in limits.items() if limit >= 0),
        key=lambda pair: pair[1],
        default=("", demand.total),
    )
    if demand.total <= limit:
        return None
    fits = (limit - MIGRATION) // (demand.processes + demand.workers)
    lower = f"Set DB_MAX_CONNECTIONS to {fits} at most, raise" if fits >= FEWEST else "Raise"
    return (
        f"PostgreSQL may run out of connections: {demand.processes} of the server's processes and "
        f"{demand.workers} workers may open {demand.each} each (DB_MAX_CONNECTIONS), a migration "
        f"{MIGRATION} more, which makes {demand.total}; {_NAMES[name]} lets in {limit}. "
        f"{lower} that limit, run fewer processes, or put PgBouncer in front."
    )
