"""What the processes of an installation need: memory, connections and time to stop.

Every number in the deploy files that is not a choice comes from here.
"""

from dataclasses import dataclass

SUPERVISOR_MIB, PARENT_MIB, PROCESS_MIB = 15, 41, 117
"""What the processes of `serve` occupy at rest (resident set size, granian, Linux): the
supervisor, the parent of the server's processes with its helper, and each of these."""
WORKER_MIB = 107
"""The same for `backstay worker`."""
HEADROOM = 2
"""A limit is so many times the use at rest: requests hold bodies, answers and hashes (19 MiB)."""
STEP_MIB = 64
"""Limits are multiples of this."""
BUFFERS_MIB, CONNECTION_MIB = 128, 10
"""Of PostgreSQL: `shared_buffers`, and what one connection occupies while it sorts or joins."""
CACHE_MIB = 128
"""What the shared cache and the counters of limits may occupy; the oldest keys go first."""
RESERVED, UPGRADING, OTHERS = 3, 2, 5
"""Connections: those that PostgreSQL keeps for superusers, those of `db upgrade`, and those of
psql, backups and monitoring."""
STOPPING_SECONDS = 5
"""From the end of the last request to the end of the last process."""
START_SECONDS = 60
"""Until the first answer on a busy machine, where a start was seen to take 35."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What an installation needs.

    Attributes:
        servers: how many servers run, each on a machine or in a container of its own.
        processes: of each server (`SERVER_WORKERS`).
        workers: how many `backstay worker` run.
        connections: to the database, of each process (`DB_MAX_CONNECTIONS`).
        drain: seconds (`SERVER_DRAIN_SECONDS`).
        grace: seconds (`SERVER_GRACEFUL_TIMEOUT`).
    """

    servers: int
    processes: int
    workers: int
    connections: int
    drain: int
    grace: int

    @property
    def api_mib(self) -> int:
        """The most memory of one server."""
        return _limit(SUPERVISOR_MIB + PARENT_MIB + PROCESS_MIB * self.processes)

    @property
    def worker_mib(self) -> int:
        """The most memory of one worker."""
        return _limit(WORKER_MIB)

    @property
    def cache_mib(self) -> int:
        """The most memory of keys in Redis."""
        return CACHE_MIB

    @property
    def redis_mib(self) -> int:
        """The most memory of Redis, with what its clients wait for."""
        return _limit(CACHE_MIB)

    @property
    def buffers_mib(self) -> int:
        """The `shared_buffers` of PostgreSQL."""
        return BUFFERS_MIB

    @property
    def postgres_mib(self) -> int:
        """The most memory of PostgreSQL."""
        return _stepped(BUFFERS_MIB + CONNECTION_MIB * self.max_connections)

    @property
    def shared_connections(self) -> int:
        """Connections of all processes of the application together."""
        return (self.servers * self.processes + self.workers) * self.connections

    @property
    def rolling_connections(self) -> int:
        """The same while each process is replaced by one that has started already."""
        return 2 * self.shared_connections

    @property
    def max_connections(self) -> int:
        """The `max_connections` of PostgreSQL."""
        return self.rolling_connections + UPGRADING + OTHERS + RESERVED

    @property
    def api_stop_seconds(self) -> int:
        """How long a server may take to stop: it drains, then its requests finish."""
        return self.drain + self.grace + STOPPING_SECONDS

    @property
    def worker_stop_seconds(self) -> int:
        """How long a worker may take to stop: its jobs finish, or go back."""
        return self.grace + STOPPING_SECONDS

    @property
    def start_seconds(self) -> int:
        """How long a process may take to start before it counts as ill."""
        return START_SECONDS

    @property
    def idle_seconds(self) -> int:
        """How long a proxy keeps an idle connection: less than the drain, which then ends all."""
        return max(1, self.drain // 2)


def _limit(at_rest: int) -> int:
    return _stepped(HEADROOM * at_rest)


def _stepped(mib: int) -> int:
    return -(-mib // STEP_MIB) * STEP_MIB
