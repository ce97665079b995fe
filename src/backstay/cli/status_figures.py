"""What `backstay status` tells, from two reads of the metrics."""

from collections.abc import Mapping
from typing import TypedDict

from backstay.cli.scraping import Change

MOST_ROUTES = 8
_DURATION = "backstay_http_request_duration_seconds"
_PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class RouteFigures(TypedDict):
    """Requests of one route; times in seconds."""

    route: str
    per_second: float
    failed_share: float
    p50: float | None
    p99: float | None


class RequestFigures(TypedDict):
    """All requests but those of probes; times in seconds."""

    per_second: float
    failed_share: float
    limited_per_second: float
    in_flight: float
    p50: float | None
    p99: float | None
    routes: list[RouteFigures]


class QueueFigures(TypedDict):
    """Jobs of one queue that could run now."""

    ready: float
    oldest_seconds: float


class JobFigures(TypedDict):
    """Runs per second by outcome, the queues, and schedules that are late, in seconds."""

    runs_per_second: dict[str, float]
    queues: dict[str, QueueFigures]
    overdue: dict[str, float]


class PoolFigures(TypedDict):
    """One pool of connections to the database."""

    in_use: float
    idle: float
    most: float
    waiting: float
    timeouts_per_second: float


class ProcessFigures(TypedDict):
    """What all processes need; ``cores`` is CPU time per time, 1 is a whole core."""

    workers: int
    cores: float
    memory_bytes: float
    loop_lag_p99: float | None


class Figures(TypedDict):
    """Everything that one read shows; ``servers`` has by address why it was not read."""

    servers: dict[str, str]
    seconds: float
    versions: list[str]
    health: dict[str, str]
    requests: RequestFigures | None
    sign_ins_per_second: dict[str, float]
    jobs: JobFigures | None
    pools: dict[str, PoolFigures]
    cache_hit_share: float | None
    processes: ProcessFigures | None


def figures_of(change: Change | None, servers: Mapping[str, str]) -> Figures:
    """The figures of the time between two reads; empty if nobody answered."""
    if change is None:
        return Figures(
            servers=dict(servers),
            seconds=0.0,
            versions=[],
            health={},
            requests=None,
            sign_ins_per_second={},
            jobs=None,
            pools={},
            cache_hit_share=None,
            processes=None,
        )
    return Figures(
        servers=dict(servers),
        seconds=round(change.seconds, 3),
        versions=_versions(change),
        health=_health(change),
        requests=_requests(change),
        sign_ins_per_second=_per_second(
            change, "outcome", "backstay_commands_total", command="Login"
        ),
        jobs=_jobs(change),
        pools=_pools(change),
        cache_hit_share=_cache_hits(change),
        processes=_processes(change),
    )


def _versions(change: Change) -> list[str]:
    return sorted(
        f"{labels.get('application')} {labels.get('application_version')} "
        f"(Backstay {labels.get('version')})"
        for labels, _ in change.now.of("backstay_build_info")
    )


def _health(change: Change) -> dict[str, str]:
    """By check: the worst state that anybody sees."""
    worst = {"off": 0, "ok": 1, "degraded": 2, "error": 3}
    found: dict[str, str] = {}
    for labels, value in change.now.of("backstay_health"):
        check, state = labels["check"], labels["state"]
        if value and worst.get(state, 0) >= worst.get(found.get(check, "off"), 0):
            found[check] = state
    return found


def _requests(change: Change) -> RequestFigures:
    by_route = change.by("route", "backstay_http_requests_total")
    routes = {route: grown for route, grown in by_route.items() if route not in _PROBES}
    busiest = sorted((grown, route) for route, grown in routes.items() if grown)[-MOST_ROUTES:]
    real = change.without("route", _PROBES)
    return RequestFigures(
        per_second=sum(routes.values()) / change.seconds,
        failed_share=_failed_share(real),
        limited_per_second=change.rate("backstay_rate_limited_requests_total"),
        in_flight=change.now.total("backstay_http_requests_in_flight"),
        p50=real.quantile(0.5, _DURATION),
        p99=real.quantile(0.99, _DURATION),
        routes=[_route(change, route) for _, route in reversed(busiest)],
    )


def _route(change: Change, route: str) -> RouteFigures:
    return RouteFigures(
        route=route,
        per_second=change.rate("backstay_http_requests_total", route=route),
        failed_share=_failed_share(change, route=route),
        p50=change.quantile(0.5, _DURATION, route=route),
        p99=change.quantile(0.99, _DURATION, route=route),
    )


def _failed_share(change: Change, **wanted: str) -> float:
    """The share of requests that were answered with a status of 500 or more."""
    by_status = change.by("status", "backstay_http_requests_total", **wanted)
    failed = sum(grown for status, grown in by_status.items() if status.startswith("5"))
    return failed / (sum(by_status.values()) or 1.0)


def _per_second(change: Change, label: str, name: str, **wanted: str) -> dict[str, float]:
    grown = change.by(label, name, **wanted)
    return {key: value / change.seconds for key, value in sorted(grown.items())}


def _jobs(change: Change) -> JobFigures:
    oldest = {
        labels["queue"]: value for labels, value in change.now.of("backstay_jobs_oldest_seconds")
    }
    overdue = change.now.of("backstay_schedule_overdue_seconds")
    return JobFigures(
        runs_per_second=_per_second(change, "outcome", "backstay_job_runs_total"),
        queues={
            labels["queue"]: QueueFigures(
                ready=value, oldest_seconds=oldest.get(labels["queue"], 0.0)
            )
            for labels, value in change.now.of("backstay_jobs_ready")
        },
        overdue={labels["schedule"]: value for labels, value in overdue if value},
    )


def _pools(change: Change) -> dict[str, PoolFigures]:
    found = {}
    for labels, most in change.now.of("backstay_db_connections_max"):
        pool = labels["pool"]
        found[pool] = PoolFigures(
            in_use=change.now.total("backstay_db_connections", pool=pool, state="in_use"),
            idle=change.now.total("backstay_db_connections", pool=pool, state="idle"),
            most=most,
            waiting=change.now.total("backstay_db_connections_waiting", pool=pool),
            timeouts_per_second=change.rate("backstay_db_connection_timeouts_total", pool=pool),
        )
    return found


def _cache_hits(change: Change) -> float | None:
    hits = change.grown("backstay_cache_hits_total")
    asked = hits + change.grown("backstay_cache_misses_total")
    return hits / asked if asked else None


def _processes(change: Change) -> ProcessFigures:
    return ProcessFigures(
        workers=sum(1 for _ in change.now.of("backstay_process_start_time_seconds")),
        cores=change.rate("backstay_process_cpu_seconds_total"),
        memory_bytes=change.now.total("backstay_process_resident_memory_bytes"),
        loop_lag_p99=change.quantile(0.99, "backstay_event_loop_lag_seconds"),
    )
