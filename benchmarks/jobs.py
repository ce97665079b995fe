"""How many jobs are stored and run per second, beside another version and the bare driver."""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from backstay.testing.postgres_server import PostgresServer
from benchmarks.job_bare import WARMING

HERE = Path(__file__).parents[1]
OURS, OTHER, BARE = "ours", "other", "bare"
KINDS = ("empty", "writing")


class Rate(NamedTuple):
    """Jobs per second, and the CPU of our processes for each, in microseconds."""

    per_second: float
    cpu: float


Rates = dict[str, dict[str, Rate]]
"""By what was measured, and by side."""


def measure(count: int, rounds: int, against: Path | None = None) -> Rates:
    """Both databases, with one worker and with two; the sides in turn, the median of each."""
    found: dict[str, dict[str, list[Rate]]] = defaultdict(lambda: defaultdict(list))
    with _databases() as urls:
        for _ in range(rounds):
            for database, (url, folder) in urls.items():
                for workers in (1, 2):
                    for side in (OURS, OTHER, BARE) if against else (OURS, BARE):
                        for kind in KINDS if side is not BARE else KINDS[:1]:
                            run = _Run(url, folder, side, kind, against)
                            stored, ran = run(count, workers)
                            found[f"{database}, {kind}, stored"][side].append(stored)
                            found[f"{database}, {kind}, run by {workers}"][side].append(ran)
    return {
        name: {side: Rate(*map(median, zip(*rates, strict=True))) for side, rates in sides.items()}
        for name, sides in found.items()
    }


@contextmanager
def _databases() -> Iterator[dict[str, tuple[str, Path]]]:
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        urls = {"SQLite": f"sqlite:///{folder}/jobs.db", "PostgreSQL": postgres.create_database()}
        for url in urls.values():
            _process(HERE, "benchmarks.job_runs", "prepare", url, str(folder), "0").wait()
        yield {database: (url, folder) for database, url in urls.items()}


class _Run(NamedTuple):
    """One measurement: jobs of one kind are stored, then run, by one side."""

    url: str
    folder: Path
    side: str
    kind: str
    against: Path | None

    def __call__(self, count: int, workers: int) -> tuple[Rate, Rate]:
        stored = self._told(self._start("store", count))
        processes = [self._start("work", count) for _ in range(workers)]
        cpu = sum(self._told(process)["cpu"] for process in processes)
        ran = self._told(_process(HERE, "benchmarks.job_bare", "ran", self.url, "0"))
        micro = 1e6 / count
        return Rate(stored["rate"], micro * stored["cpu"]), Rate(ran["rate"], micro * cpu)

    def _told(self, process: "subprocess.Popen[str]") -> dict[str, float]:
        told = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"a process has failed: {process.args!r}")
        found: dict[str, float] = json.loads(told)
        return found

    def _start(self, role: str, count: int) -> "subprocess.Popen[str]":
        if self.side is BARE:
            return _process(HERE, "benchmarks.job_bare", role, self.url, str(count))
        root = HERE if self.side is OURS or self.against is None else self.against
        role = f"store {self.kind}" if role == "store" else role
        where = (self.url, str(self.folder), str(count))
        return _process(root, "benchmarks.job_runs", role, *where)


def _process(root: Path, module: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process of these benchmarks, with the package of a checkout."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": f"{root / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


class Waits(NamedTuple):
    """Milliseconds from the commit of a job to its start by an idle worker."""

    middle: float
    p99: float


def waits(count: int) -> dict[str, Waits]:
    """On PostgreSQL: ours, and a bare LISTEN that claims."""
    with _databases() as urls:
        url, folder = urls["PostgreSQL"]
        where = (url, str(folder), str(count))
        return {
            OURS: _waits("benchmarks.job_runs", "wait", where, "store telling"),
            BARE: _waits("benchmarks.job_bare", "wait", (url, str(count)), "notify"),
        }


def _waits(module: str, role: str, where: tuple[str, ...], store: str) -> Waits:
    listening = _process(HERE, module, role, *where)
    assert listening.stdout is not None
    listening.stdout.readline()
    committed = dict(
        map(str.split, _process(HERE, module, store, *where).communicate()[0].splitlines())
    )
    begun = dict(listening.stdout.readline().split() for _ in range(len(committed) + WARMING))
    listening.kill()
    listening.wait()
    took = sorted(1000 * (float(begun[each]) - float(at)) for each, at in committed.items())
    return Waits(median(took), took[int(0.99 * len(took))])


def show(rates: Rates, count: int) -> None:
    """Print one row per measurement, with ratios to the other sides."""
    table = Table(title=f"{count} jobs: per second, and CPU of our processes for each in µs")
    for heading in ("", OURS, OTHER, BARE, f"ours ÷ {OTHER}", f"ours ÷ {BARE}"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, sides in rates.items():
        shown = [_shown(sides.get(side)) for side in (OURS, OTHER, BARE)]
        ratios = [_ratio(sides[OURS], sides.get(side)) for side in (OTHER, BARE)]
        table.add_row(name, *shown, *ratios)
    Console(width=120).print(table)


def show_waits(found: dict[str, Waits], count: int) -> None:
    """Print how long jobs wait for an idle worker."""
    table = Table(title=f"{count} jobs, one at a time: ms from the commit to the start")
    for heading in ("", "median", "p99"):
        table.add_column(heading, justify="right" if heading else "left")
    for side, (middle, p99) in found.items():
        table.add_row(side, f"{middle:.1f}", f"{p99:.1f}")
    Console().print(table)


def _shown(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.per_second:.0f} ({rate.cpu:.0f})"


def _ratio(ours: Rate, other: Rate | None) -> str:
    if other is None:
        return ""
    return f"{ours.per_second / other.per_second:.2f} ({other.cpu / ours.cpu:.2f})"
