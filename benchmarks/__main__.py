"""Runs the measurements: ``python -m benchmarks [case …]``."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from backstay.testing.postgres_server import PostgresServer
from benchmarks import (
    against,
    copying,
    crowd,
    generated,
    growth,
    idle,
    jobs,
    machine,
    measuring,
    pragmas,
    report,
    sqlite,
    start,
    steps,
    traces,
    workers,
)
from benchmarks.cases import (
    ALONE,
    BY_REQUESTS,
    CASES,
    COPY,
    CROWD,
    DATABASES,
    IDLE,
    JOBS,
    POSTGRESQL,
    PRAGMAS,
    SQLITE,
    START,
    STEPS,
    TRACES,
)
from benchmarks.measuring import Plan, Summary
from benchmarks.stage import ROWS, prepare

WAITING_JOBS = 300
COMMANDS = {"against": against.main, "growth": growth.main}
"""The measurements with arguments of their own."""


def main() -> int:
    """Measure what is named, or everything; print, and write JSON and plots."""
    if sys.argv[1:2] and sys.argv[1] in COMMANDS:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    arguments = _arguments()
    summaries: dict[str, Summary] = {}
    if not arguments.cases or set(arguments.cases) - ALONE:
        try:
            machine.check()
        except machine.Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        summaries = _requests(arguments)
    rates: jobs.Rates = {}
    if not arguments.cases or JOBS in arguments.cases:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        rates = jobs.measure(arguments.jobs, arguments.rounds, arguments.against)
    _alone(arguments)
    for database, summary in summaries.items():
        report.show(database, summary, arguments.rounds, arguments.seconds)
    if rates:
        jobs.show(rates, arguments.jobs)
        jobs.show_waits(jobs.waits(WAITING_JOBS), WAITING_JOBS)
    report.write(summaries, rates, Path(arguments.output))
    return 0


def _alone(arguments: argparse.Namespace) -> None:
    """Measure and show what needs no requests."""
    rounds = arguments.rounds
    measurements: dict[str, Callable[[], None]] = {
        START: lambda: start.show(start.measure(rounds), rounds),
        IDLE: lambda: idle.show(idle.measure()),
        SQLITE: lambda: sqlite.show(sqlite.measure(rounds), rounds),
        PRAGMAS: lambda: pragmas.show(pragmas.measure(rounds), rounds),
        COPY: lambda: copying.show(copying.measure()),
        STEPS: lambda: steps.show(*steps.measure(20), 20),
        CROWD: lambda: crowd.show(crowd.measure(rounds), rounds),
        TRACES: lambda: traces.show(traces.measure(10)),
    }
    for name, measure in measurements.items():
        if not arguments.cases or name in arguments.cases:
            measure()


def _requests(arguments: argparse.Namespace) -> dict[str, Summary]:
    """What is measured by requests, on each database."""
    machine.pin(machine.OTHER_CORE)
    summaries = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("", total=None)
        plan = Plan(
            arguments.rounds,
            arguments.seconds,
            lambda now: progress.update(task, description=f"{database}: {now}"),
        )
        for database in arguments.database or DATABASES:
            if found := _measured(database, arguments.cases, arguments.rows, plan):
                summaries[database] = found
    return summaries


def _measured(database: str, names: list[str], rows: int, plan: Plan) -> Summary:
    """The named measurements, or all, that say something about this database."""
    cases = measuring.chosen(names, database)
    storm, generator, several = (not names or name in names for name in BY_REQUESTS)
    results: measuring.Results = {}
    with _databases(database) as new_database:
        if cases or several or (storm and database == POSTGRESQL):
            with tempfile.TemporaryDirectory() as folder:
                plan.tell("writing rows")
                stage = prepare(new_database(), Path(folder), rows)
                storms = storm and database == POSTGRESQL
                results |= measuring.measure(cases, database, stage, plan, storm=storms)
                if several:
                    results |= workers.measure(database, stage, plan)
        if generator and database == POSTGRESQL:
            with tempfile.TemporaryDirectory() as folder:
                results |= generated.measure(new_database(), Path(folder), plan)
    return measuring.middle(results)


@contextmanager
def _databases(kind: str) -> Iterator[Callable[[], str]]:
    """Makes databases, which go with the block; a new one is named by its URL."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as postgres:
        if kind == POSTGRESQL:
            yield postgres.create_database
        else:
            yield lambda: f"sqlite+aiosqlite:///{folder}/bench.db"


def _arguments() -> argparse.Namespace:
    names = [*(case.name for case in CASES), *BY_REQUESTS, *sorted(ALONE)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="that each burst of load lasts")
    parser.add_argument("--against", type=Path, help="checkout of another version, for jobs")
    parser.add_argument("--jobs", type=int, default=1000, help="that are stored, then run")
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="that one user has; for a look: 1000"
    )
    parser.add_argument(
        "--database", choices=DATABASES, action="append", help="by default each in turn"
    )
    parser.add_argument("--output", default="benchmarks/results", help="folder for JSON and plots")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - set(names)
    if unknown:
        parser.error(f"unknown case: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    for name in ("rounds", "seconds", "jobs", "rows"):
        if getattr(arguments, name) < 1:
            parser.error(f"argument --{name}: must be at least 1")
    checkout: Path | None = arguments.against
    if checkout is not None and not (checkout / "src" / "backstay").is_dir():
        parser.error(f"argument --against: {checkout} is no checkout of Backstay")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
