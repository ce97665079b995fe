"""Prometheus metrics of database connections: how many are open, and how many tasks wait."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from backstay.db.pool import Budget

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class DatabaseMetrics:
    """The metrics of each pool, at most a second old; Prometheus gets the sum of all processes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._budgets: dict[str, Budget] = {}
        self._connections = Gauge(
            "backstay_db_connections",
            "Connections to the database.",
            ["pool", "state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "backstay_db_connections_waiting",
            "Statements and transactions that wait for a connection.",
            ["pool"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._budget = Gauge(
            "backstay_db_connections_budget",
            "Connections that the pools to one server may have open between them.",
            ["server"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._seconds = Histogram(
            "backstay_db_connection_wait_seconds",
            "Time that was waited for a connection, in seconds, where none was free.",
            ["pool"],
            buckets=BUCKETS,
            registry=registry,
        )

    def follow(self, server: str, budget: Budget) -> None:
        """Report the pools of a budget from now on."""
        self._budgets[server] = budget
        budget.report = self.show
        for pool in budget.pools:
            pool.semaphore.observe = self._seconds.labels(pool.name).observe

    def show(self) -> None:
        """Set the gauges to the present numbers of connections."""
        for server, budget in self._budgets.items():
            self._budget.labels(server).set(budget.most)
            for name in {pool.name for pool in budget.pools}:
                pools = [pool for pool in budget.pools if pool.name == name]
                idle = sum(pool.checkedin() for pool in pools)
                used = sum(pool.checkedout() for pool in pools)
                self._connections.labels(name, "idle").set(idle)
                self._connections.labels(name, "in_use").set(used)
                self._waiting.labels(name).set(pools[0].semaphore.waiting)
