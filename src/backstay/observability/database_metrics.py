"""The metrics of the database: its connections, SQLite's lock, and the lag of the replica."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backstay.db.budget import Budget
from backstay.db.database import Database

WAIT_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class DatabaseMetrics:
    """The metrics of each pool, at most a second old; Prometheus gets the sum of all processes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._budgets: dict[str, Budget] = {}
        self._peak = 0
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self._connections = gauge(
            "backstay_db_connections", "Connections to the database.", ["pool", "state"]
        )
        self._waiting = gauge(
            "backstay_db_connections_waiting",
            "Statements and transactions that wait for a connection.",
            ["pool"],
        )
        self._budget = gauge(
            "backstay_db_connections_budget",
            "Connections that the pools to one server may have open between them.",
            ["server"],
        )
        self._max = gauge(
            "backstay_db_connections_max",
            "Connections that a pool may have open, if the budget allows it.",
            ["pool"],
        )
        self._timeouts = Counter(
            "backstay_db_connection_timeouts_total",
            "Statements and transactions that got no connection in time.",
            ["pool"],
            registry=registry,
        )
        self._lock_seconds = Histogram(
            "backstay_db_write_lock_wait_seconds",
            "Time that transactions waited for the lock of SQLite's file, in seconds.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self._seconds = Histogram(
            "backstay_db_connection_wait_seconds",
            "Time that was waited for a connection, in seconds, where none was free.",
            ["pool"],
            buckets=WAIT_BUCKETS,
            registry=registry,
        )

    def follow(self, database: Database) -> None:
        """Report the pools of a database from now on."""
        self._budgets = database.budgets
        database.waited_for_lock = self._lock_seconds.observe
        for pool in (pool for budget in database.budgets.values() for pool in budget.pools):
            pool.semaphore.observe = self._seconds.labels(pool.name).observe
            pool.semaphore.timed_out = self._timeouts.labels(pool.name).inc

    def connections(self) -> tuple[int, int]:
        """The most connections that were found in use since the last call, and how many may be."""
        self.show()
        peak, self._peak = self._peak, 0
        return peak, sum(budget.most for budget in self._budgets.values())

    def show(self) -> None:
        """Set the gauges to the present numbers of connections."""
        busy = 0
        for server, budget in self._budgets.items():
            self._budget.labels(server).set(budget.most)
            for name in {pool.name for pool in budget.pools}:
                pools = [pool for pool in budget.pools if pool.name == name]
                idle = sum(pool.checkedin() for pool in pools)
                used = sum(pool.checkedout() for pool in pools)
                busy += used
                self._connections.labels(name, "idle").set(idle)
                self._connections.labels(name, "in_use").set(used)
                self._waiting.labels(name).set(pools[0].semaphore.waiting)
                self._max.labels(name).set(pools[-1].size())
        self._peak = max(self._peak, busy)


class ReplicaMetrics:
    """How far the replica is behind, as the last scrape has found."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._lag_bytes = gauge(
            "backstay_db_replica_lag_bytes",
            "Bytes of the log of the primary that the replica has not replayed.",
            ["server"],
        )
        self._lag_seconds = gauge(
            "backstay_db_replica_lag_seconds",
            "Age of the last commit that the replica has replayed, in seconds; 0 if it has all.",
            ["server"],
        )

    def show(self, behind: float, seconds: float) -> None:
        """Record how far the replica is behind; ``nan`` where that is not known."""
        self._lag_bytes.labels("replica").set(behind)
        self._lag_seconds.labels("replica").set(seconds)
