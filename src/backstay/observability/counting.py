"""Adds up the counters of a process, so that differences between two moments can be stored."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from backstay.core.latency import BOUNDS

PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})
"""Routes that nobody waits for: load balancers and Prometheus ask them, also of idle processes."""
_SIGN_IN = "Login"
_REQUESTS = "backstay_http_requests_total"
_SECONDS = "backstay_http_request_duration_seconds_bucket"
_COMMANDS = "backstay_commands_total"
_RUNS = "backstay_job_runs_total"
_HITS, _MISSES = "backstay_cache_hits_total", "backstay_cache_misses_total"
_NAMES = (_REQUESTS, _SECONDS, _COMMANDS, _RUNS, _HITS, _MISSES)
_SIGN_INS = {"ok": "sign_ins", "refused": "failed_sign_ins"}
_JOBS = {"succeeded": "jobs_done", "failed": "jobs_failed"}
_LIMITED = "429"


def counts_of(registry: CollectorRegistry) -> Counter[str]:
    """What this process has counted since it began, without ``PROBES``.

    Requests that took at most ``BOUNDS[n]`` seconds are ``bucket_n``, each in one bucket only.
    """
    found: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for family in registry.restricted_registry(_NAMES).collect():
        for sample in family.samples:
            if sample.labels.get("route") in PROBES:
                continue
            if sample.name == _SECONDS:
                within[sample.labels["le"]] += int(sample.value)
            for name in _columns_of(sample):
                found[name] += int(sample.value)
    below = 0
    for number, bound in enumerate((*map(str, BOUNDS), "+Inf")):
        found[f"bucket_{number}"] = within[bound] - below
        below = within[bound]
    return found


def _columns_of(sample: Sample) -> Iterator[str]:
    labels = sample.labels
    if sample.name == _REQUESTS:
        yield "requests"
        status = labels["status"]
        if status[0] == "5":
            yield "errors"
        elif status[0] == "4":
            yield "limited" if status == _LIMITED else "refused"
    elif sample.name == _COMMANDS and labels["command"] == _SIGN_IN:
        if name := _SIGN_INS.get(labels["outcome"]):
            yield name
    elif sample.name == _RUNS:
        if name := _JOBS.get(labels["outcome"]):
            yield name
    elif sample.name == _HITS:
        yield "cache_hits"
    elif sample.name == _MISSES:
        yield "cache_misses"
