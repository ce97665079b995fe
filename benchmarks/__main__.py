"""Runs the measurements: ``python -m benchmarks [case …]``."""

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.progress import Progress

from backstay.testing.postgres_server import PostgresServer
from benchmarks import against, copying, growth, idle, jobs, machine, report, sqlite, start, traces
from benchmarks.cases import (
    ALONE,
    CASES,
    COPY,
    IDLE,
    JOBS,
    SQLITE,
    START,
    STORM,
    TRACES,
    WORKERS,
    Case,
)
from benchmarks.load import Measured, Request, burst
from benchmarks.stage import Server, Stage, prepare, reset, serving, without_limits
from tests.services.valkey import ValkeyServer

Results = dict[str, list[Measured]]
COMMANDS = {"against": against.main, "growth": growth.main}
"""The measurements with arguments of their own."""
EMPTY_JOBS = 2000
WARM_UP_SECONDS = 1


def main() -> int:
    """Measure what is named, or everything; print, and write JSON and a plot."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    arguments = _arguments()
    summary: report.Summary = {}
    if not arguments.cases or set(arguments.cases) - ALONE:
        try:
            machine.check()
        except machine.Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        summary = _requests(arguments)
    rates: jobs.Rates = {}
    if not arguments.cases or JOBS in arguments.cases:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        rates = jobs.measure(EMPTY_JOBS)
    _alone(arguments)
    if summary:
        report.show(summary, arguments.rounds, arguments.seconds)
    if rates:
        jobs.show(rates, EMPTY_JOBS)
    report.write(summary, rates, Path(arguments.output))
    return 0


def _alone(arguments: argparse.Namespace) -> None:
    """Measure and show what needs no requests."""
    rounds = arguments.rounds
    measurements: dict[str, Callable[[], None]] = {
        START: lambda: start.show(start.measure(rounds), rounds),
        IDLE: lambda: idle.show(idle.measure()),
        SQLITE: lambda: sqlite.show(sqlite.measure(rounds), rounds),
        COPY: lambda: copying.show(copying.measure()),
        TRACES: lambda: traces.show(traces.measure(10)),
    }
    for name, measure in measurements.items():
        if not arguments.cases or name in arguments.cases:
            measure()


def _requests(arguments: argparse.Namespace) -> report.Summary:
    """What is measured by requests."""
    machine.pin(machine.OTHER_CORE)
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create_database()
        with Progress(transient=True) as progress:
            task = progress.add_task("a million rows", total=None)
            stage = prepare(url, Path(folder))
            results = _measure(arguments, url, stage, progress, task)
    return {name: _middle(measured) for name, measured in results.items()}


def _arguments() -> argparse.Namespace:
    names = [case.name for case in CASES] + [STORM, WORKERS, *sorted(ALONE)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="that each burst of load lasts")
    parser.add_argument("--output", default="benchmarks/results", help="folder for JSON and plot")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(names)
    if unknown:
        parser.error(f"unknown case: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    return arguments


def _measure(
    arguments: argparse.Namespace, url: str, stage: Stage, progress: Progress, task: object
) -> Results:
    """Every case in every round, our application and the bare one in turn."""
    chosen = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    storm, workers = (not arguments.cases or n in arguments.cases for n in (STORM, WORKERS))
    results: Results = defaultdict(list)
    sides = sum(1 + bool(case.bare) for case in chosen)
    steps = (sides + 2 * storm + 2 * workers) * arguments.rounds
    progress.update(task, description="measuring", total=steps)  # type: ignore[arg-type]
    with (
        ValkeyServer() as valkey,
        serving("benchmarks.ours:app", stage, "--factory", CACHE_TTL_SECONDS="0") as uncached,
        serving("benchmarks.ours:app", stage, "--factory") as cached,
        serving("benchmarks.ours:far", stage, "--factory", REDIS_URL=valkey.url) as far,
        serving("benchmarks.bare:app", stage) as bare,
        serving("benchmarks.ours:app", without_limits(stage), "--factory") as unlimited,
    ):
        servers = {"uncached": uncached, "cached": cached, "far": far, "bare": bare} | {
            "unlimited": unlimited
        }
        for number in range(arguments.rounds):
            for case in chosen:
                for label, server, request in _sides(case, stage, servers):
                    progress.update(task, description=label)  # type: ignore[arg-type]
                    if number == 0:
                        _burst(server, request, case, WARM_UP_SECONDS)
                    results[label].append(_burst(server, request, case, arguments.seconds))
                    progress.advance(task)  # type: ignore[arg-type]
                asyncio.run(reset(url))
            if storm:
                _storm(results, stage, uncached, arguments.seconds)
                progress.advance(task, 2)  # type: ignore[arg-type]
    for _ in range(arguments.rounds if workers else 0):
        for count, label in ((1, "one worker"), (2, "two workers")):
            progress.update(task, description=label)  # type: ignore[arg-type]
            with serving("benchmarks.ours:app", stage, "--factory", workers=count) as server:
                me = next(case for case in CASES if case.name == "me")
                busy = replace(me, connections=64)
                _burst(server, me.ours(stage), busy, WARM_UP_SECONDS)
                results[label].append(_burst(server, me.ours(stage), busy, arguments.seconds))
            progress.advance(task)  # type: ignore[arg-type]
    return results


def _sides(
    case: Case, stage: Stage, servers: Mapping[str, Server]
) -> list[tuple[str, Server, Request]]:
    sides = [(case.name, servers[case.server], case.ours(stage))]
    if case.bare is not None:
        sides.append((f"{case.name} bare", servers["bare"], case.bare(stage)))
    return sides


def _burst(server: Server, request: Request, case: Case, seconds: int) -> Measured:
    there = replace(request, url=server.base + request.url)
    return burst(there, server.pids, seconds=seconds, connections=case.connections)


def _storm(results: Results, stage: Stage, ours: Server, seconds: int) -> None:
    """``me`` by itself, then while eight clients log in without a pause."""
    by_name = {case.name: case for case in CASES}
    me = replace(by_name["me"].ours(stage), url=ours.base + by_name["me"].ours(stage).url)
    login = by_name["login"].ours(stage)
    login = replace(login, url=ours.base + login.url)
    results["idle me"].append(burst(me, ours.pids, seconds=seconds, connections=2))
    logins = threading.Thread(
        target=burst,
        args=(login, ours.pids),
        kwargs={"seconds": seconds + 2, "connections": 8},
    )
    logins.start()
    time.sleep(1)
    results["storm me"].append(burst(me, ours.pids, seconds=seconds, connections=2))
    logins.join()


def _middle(measured: list[Measured]) -> Measured:
    """The median of every figure."""
    return Measured(
        *(median(getattr(m, name) for m in measured) for name in Measured.__dataclass_fields__)
    )


if __name__ == "__main__":
    sys.exit(main())
