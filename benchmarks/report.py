"""Shows the figures, and keeps them as JSON and as a plot."""

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.jobs import Rates
from benchmarks.load import Measured

Summary = dict[str, Measured]
WITHOUT = {"fifty-roles": "one-role"}
"""What a case of ours is compared with instead of the bare application."""
ROW, LEFT, WIDTH = 26, 130, 420


def ratios(summary: Summary) -> dict[str, float]:
    """CPU time of the bare application divided by ours, per case: 1 is as cheap as bare.

    Where the question is what something adds, our own case without it stands for the bare one.
    """
    against = {name: WITHOUT.get(name, f"{name} bare") for name in summary}
    return {
        name: summary[against[name]].cpu / ours.cpu
        for name, ours in summary.items()
        if against[name] in summary
    }


def show(summary: Summary, rounds: int, seconds: int) -> None:
    """Print one row per measurement."""
    table = Table(title=f"median of {rounds} rounds of {seconds} s")
    for heading in ("", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    ratio = ratios(summary)
    for name, m in summary.items():
        figures = (f"{m.per_second:.0f}", f"{m.p50:.2f}", f"{m.p99:.2f}", f"{m.cpu:.0f}")
        table.add_row(name, *figures, f"{ratio[name]:.2f}" if name in ratio else "")
    console = Console()
    console.print(table)
    console.print("ratio: CPU time per request of the bare application divided by ours;")
    console.print("       of fifty-roles: that of one-role divided by it")
    for sentence in comparisons(summary):
        console.print(sentence)


def comparisons(summary: Summary) -> list[str]:
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
    if {"limited", "unlimited"} <= summary.keys():
        more = summary["limited"].cpu - summary["unlimited"].cpu
        said.append(f"limits: counting a request and saying so costs {more:+.1f} µs")
    if {"item", "item bare"} <= summary.keys():
        slower = summary["item"].p99 / summary["item bare"].p99
        said.append(f"item: p99 is {slower:.1f} times bare's")
    if {"idle me", "storm me"} <= summary.keys():
        slower = summary["storm me"].p99 / summary["idle me"].p99
        said.append(f"storm: p99 of me is {slower:.1f} times idle's while 8 clients log in")
    if {"one worker", "two workers"} <= summary.keys():
        more = summary["two workers"].per_second / summary["one worker"].per_second
        said.append(f"workers: two serve {more:.2f} times one, with {os.cpu_count()} processors")
    return said


def write(summary: Summary, jobs: Rates, folder: Path) -> None:
    """Keep the figures of this run."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "figures": {name: asdict(m) for name, m in summary.items()},
        "ratios": ratios(summary),
        "comparisons": comparisons(summary),
        "jobs": {
            name: {side: rate._asdict() for side, rate in sides.items()}
            for name, sides in jobs.items()
        },
    }
    (folder / "latest.json").write_text(json.dumps(kept, indent=2) + "\n")
    (folder / "latest.svg").write_text(_plot(ratios(summary)))
    Console().print(f"written to {folder}/latest.json and {folder}/latest.svg")


def _plot(ratio: dict[str, float]) -> str:
    """A bar per case; the line is the bare application."""
    longest = max([1.2, *ratio.values()])
    bars = []
    for n, (name, value) in enumerate(ratio.items()):
        y, width = 34 + n * ROW, value / longest * WIDTH
        bars.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        bars.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="16" fill="#2b6cb0"/>')
        bars.append(f'<text x="{LEFT + width + 6:.0f}" y="{y + 12}">{value:.2f}</text>')
    height, bare = 48 + len(ratio) * ROW, LEFT + WIDTH / longest
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{LEFT}" y="20">CPU time per request: bare ÷ Backstay '
        f"(fifty-roles: one-role ÷ it)</text>{''.join(bars)}"
        f'<line x1="{bare:.0f}" x2="{bare:.0f}" y1="26" y2="{height - 10}" stroke="#c53030" '
        'stroke-dasharray="4 3"/></svg>\n'
    )
