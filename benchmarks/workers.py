"""One worker and several: what they do per second, and how long writers of SQLite wait."""

import os
from collections import defaultdict
from dataclasses import replace

from benchmarks.cases import CASES, POSTGRESQL, SQLITE_FILE, Case, Requests
from benchmarks.load import burst, settle
from benchmarks.measuring import (
    BARE,
    OURS,
    WARM_UP_SECONDS,
    Plan,
    Results,
    Summary,
    beside,
    load,
    put_back,
)
from benchmarks.stage import Server, Stage, serving

SEVERAL = {POSTGRESQL: 2, SQLITE_FILE: 4}
MEASURED = {POSTGRESQL: ("me",), SQLITE_FILE: ("item", "create", "mixed")}
SIDES = {POSTGRESQL: ("",), SQLITE_FILE: ("", " bare")}
CONNECTIONS, WRITERS, READERS = 64, 4, 12
ALONE, BESIDE = "writers", "writers beside reads"
_BY_NAME = {case.name: case for case in CASES}


def measure(database: str, stage: Stage, plan: Plan) -> Results:
    """Each side with one worker, then with several."""
    results: Results = defaultdict(list)
    for _ in range(plan.rounds):
        for workers in (1, SEVERAL[database]):
            for side in SIDES[database]:
                plan.tell(label("workers", side, workers))
                for name, found in _round(database, stage, plan.seconds, side, workers).items():
                    results[label(name, side, workers)].append(found)
    return results


def label(name: str, side: str, workers: int) -> str:
    """What a measurement is called."""
    return f"{name}{side}, {workers} worker{'s' if workers > 1 else ''}"


def comparisons(database: str, summary: Summary) -> list[str]:
    """What several workers do for one, and how long a writer waits, per side."""
    said, several = [], SEVERAL[database]
    for side in SIDES[database]:
        who = side or " Backstay"
        for name in MEASURED[database]:
            if (one := summary.get(label(name, side, 1))) is not None:
                more = summary[label(name, side, several)].per_second / one.per_second
                about = f"{several} serve {more:.2f} times one, with {os.cpu_count()} processors"
                said.append(f"workers of{who}: {name}: {about}")
        for workers in (1, several):
            if label(ALONE, side, workers) in summary:
                alone, crowded = (summary[label(n, side, workers)] for n in (ALONE, BESIDE))
                said.append(
                    f"writers of{who}, {workers} worker(s): p50 {alone.p50:.1f} and p99 "
                    f"{alone.p99:.1f} ms alone, {crowded.p50:.1f} and {crowded.p99:.1f} ms "
                    f"beside {READERS} readers"
                )
    return said


def _round(database: str, stage: Stage, seconds: int, side: str, workers: int) -> Summary:
    target, options = (BARE[database], ()) if side else (OURS, ("--factory",))
    with serving(target, stage.environ, *options, workers=workers, CACHE_TTL_SECONDS="0") as server:
        found: Summary = {}
        for name in MEASURED[database]:
            case = replace(_BY_NAME[name], connections=CONNECTIONS)
            requests = _asked(case, side, stage)
            load(server, requests, case, WARM_UP_SECONDS, stage)
            found[name] = load(server, requests, case, seconds, stage)
        if database == SQLITE_FILE:
            found |= _waiting(server, side, stage, seconds)
    return found


def _waiting(server: Server, side: str, stage: Stage, seconds: int) -> Summary:
    """Four clients that write, by themselves, then beside twelve that read."""
    writes, reads = (_asked(_BY_NAME[name], side, stage) for name in ("create", "item"))
    settle(server.pids)
    alone = burst(server.asked(writes), server.pids, seconds=seconds, connections=WRITERS)
    crowded = beside(server, writes, reads, (WRITERS, READERS), seconds)
    put_back(server, stage)
    return {ALONE: alone, BESIDE: crowded}


def _asked(case: Case, side: str, stage: Stage) -> Requests:
    if not side:
        return case.ours(stage)
    assert case.bare is not None
    return case.bare(stage)
