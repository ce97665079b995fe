"""Shows the figures, and keeps them as JSON and as plots."""

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import plots, workers
from benchmarks.cases import POSTGRESQL
from benchmarks.jobs import Rates
from benchmarks.measuring import Summary
from benchmarks.targets import Verdict, verdicts

WITHOUT = {"fifty-roles": "one-role", "console": "console-api"}
"""What a case of ours is compared with instead of the bare application."""
HEADINGS = ("", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio", "floor")


def ratios(summary: Summary, other: str = "bare") -> dict[str, float]:
    """CPU time of the bare application divided by ours, per case: 1 is as cheap as bare.

    Where the question is what something adds, our own case without it stands for the bare one. The
    ``other`` may be the floor of the bare application.
    """
    against = {name: f"{name} {other}" for name in summary} | (WITHOUT if other == "bare" else {})
    return {
        name: summary[against[name]].cpu / ours.cpu
        for name, ours in summary.items()
        if against[name] in summary
    }


def show(database: str, summary: Summary, rounds: int, seconds: int) -> None:
    """Print one row per measurement, then what follows from them."""
    table = Table(title=f"{database}: median of {rounds} rounds of {seconds} s")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    ratio, floor = ratios(summary), ratios(summary, "floor")
    for name, m in summary.items():
        if name.removesuffix(" floor") not in floor or name in floor:
            figures = (f"{m.per_second:.0f}", f"{m.p50:.2f}", f"{m.p99:.2f}", f"{m.cpu:.0f}")
            more = (f"{of[name]:.2f}" if name in of else "" for of in (ratio, floor))
            table.add_row(name, *figures, *more)
    console = Console(highlight=False)
    console.print(table)
    console.print("ratio: CPU time per request of the bare application divided by ours;")
    console.print("       of fifty-roles and console: that of one-role and console-api")
    console.print("floor: the same with the bare application's floor, which takes shortcuts")
    for sentence in comparisons(database, summary):
        console.print(sentence)
    for verdict in judged(database, summary):
        console.print(str(verdict), style="green" if verdict.met else "red")


def judged(database: str, summary: Summary) -> list[Verdict]:
    """The targets, which are those of PostgreSQL."""
    return list(verdicts(summary)) if database == POSTGRESQL else []


def comparisons(database: str, summary: Summary) -> list[str]:
    """What is compared within our own figures."""
    said = []
    if {"keyset", "keyset-deep"} <= summary.keys():
        depth = summary["keyset-deep"].cpu / summary["keyset"].cpu
        said.append(f"keyset: a million rows deep costs {depth:.2f} times the first page")
    if {"first-route", "last-route"} <= summary.keys():
        more = summary["last-route"].cpu - summary["first-route"].cpu
        said.append(f"routes: the last costs {more:+.0f} µs over the first")
    if {"one-role", "fifty-roles"} <= summary.keys():
        more = summary["fifty-roles"].cpu / summary["one-role"].cpu
        said.append(f"roles: with fifty a request costs {more:.2f} times what it does with one")
    if {"console", "console-api"} <= summary.keys():
        more = summary["console"].cpu / summary["console-api"].cpu
        said.append(f"console: a page of 25 rows costs {more:.2f} times the API's own list")
    if {"limited", "unlimited"} <= summary.keys():
        more = summary["limited"].cpu - summary["unlimited"].cpu
        said.append(f"limits: counting a request and saying so costs {more:+.1f} µs")
    return said + workers.comparisons(database, summary)


def write(summaries: dict[str, Summary], jobs: Rates, folder: Path) -> None:
    """Keep the figures of this run, and two plots of each database that has ratios."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "databases": {name: _kept(name, summary) for name, summary in summaries.items()},
        "jobs": {
            name: {side: rate._asdict() for side, rate in sides.items()}
            for name, sides in jobs.items()
        },
    }
    made = {"latest.json": json.dumps(kept, indent=2) + "\n"}
    for database, summary in summaries.items():
        if found := ratios(summary):
            made[f"{database}-ratios.svg"] = plots.bars(database, found)
            made[f"{database}-times.svg"] = plots.times(database, summary)
    for name, content in made.items():
        (folder / name).write_text(content, "utf-8")
    Console(highlight=False).print(f"written to {folder}: {', '.join(made)}")


def _kept(database: str, summary: Summary) -> dict[str, object]:
    return {
        "figures": {name: asdict(m) for name, m in summary.items()},
        "ratios": ratios(summary),
        "floor": ratios(summary, "floor"),
        "comparisons": comparisons(database, summary),
        "targets": [
            {"name": each.target.name, "figure": each.figure, "met": each.met}
            for each in judged(database, summary)
        ],
    }
