"""What Prometheus reads about the connections to the database: how many, and who waits for one."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from backstay.db.pool import Budget

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class DatabaseMetrics:
    """Numbers of each pool, as of the last second; those of all workers together are added up."""

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
        """Tell the numbers of these pools from now on."""
        self._budgets[server] = budget
        budget.report = self.show
        for pool in budget.pools:
            pool.waits.observe = self._seconds.labels(pool.name).observe

    def show(self) -> None:
        """Take note of how many connections there are now."""
        for server, budget in self._budgets.items():
            self._budget.labels(server).set(budget.most)
            for name in {pool.name for pool in budget.pools}:
                pools = [pool for pool in budget.pools if pool.name == name]
                idle = sum(pool.checkedin() for pool in pools)
                used = sum(pool.checkedout() for pool in pools)
                self._connections.labels(name, "idle").set(idle)
                self._connections.labels(name, "in_use").set(used)
                self._waiting.labels(name).set(pools[0].waits.now)
