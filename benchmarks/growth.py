"""What a request costs over the size of everything that grows: rows, roles, routes, jobs and more.

The cost is processor time: of the server, and of PostgreSQL while it answers. All sizes are
measured in turn in every round, so that what else the machine does meets each of them.
"""

import argparse
import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from backstay.testing.postgres_server import PostgresServer
from benchmarks import growing, machine
from benchmarks.curves import Curve, plot, show
from benchmarks.ground import Ground

AXES: dict[str, Callable[[Ground], Awaitable[None]]] = {
    "rows": growing.rows,
    "roles": growing.roles,
    "routes": growing.routes,
    "features": growing.features,
    "sessions": growing.sessions,
    "tags": growing.tags,
    "jobs": growing.jobs,
}
"""What grows, by the name in the command line."""


def main(words: Sequence[str]) -> int:
    """Measure the named axes, or all; print, and write JSON and a plot. 1: something is missing."""
    arguments = _arguments(words)
    try:
        machine.check()
    except machine.Missing as missing:
        print(missing)
        return 1
    machine.pin(machine.OTHER_CORE)
    curves: list[Curve] = []
    for axis in arguments.axes or AXES:
        found = asyncio.run(_axis(axis, arguments))
        show(found, arguments.rounds)
        curves += found
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(json.dumps([asdict(c) for c in curves], indent=2) + "\n")
    (folder / "growth.svg").write_text(plot(curves))
    print(f"written to {folder}/growth.json and {folder}/growth.svg")
    return 0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("axes", nargs="*", metavar="axis", help=", ".join(AXES))
    parser.add_argument("--most", type=int, default=10**6, help="rows of the largest table")
    parser.add_argument("--rounds", type=int, default=10, help="of which the median counts")
    parser.add_argument("--requests", type=int, default=150, help="of each point in each round")
    parser.add_argument("--seconds", type=int, default=3, help="after which slow ones end earlier")
    parser.add_argument("--output", default="benchmarks/results", help="folder for JSON and plot")
    arguments = parser.parse_args(words)
    if unknown := set(arguments.axes) - set(AXES):
        parser.error(f"unknown axis: {', '.join(sorted(unknown))}; known: {', '.join(AXES)}")
    return arguments


async def _axis(axis: str, arguments: argparse.Namespace) -> list[Curve]:
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sizes = [10**power for power in range(3, 9) if 10**power <= arguments.most]
        ground = Ground(stack, postgres, folder, arguments.requests, arguments.seconds, sizes)
        base = await ground.base("PostgreSQL")
        await base.run("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        await AXES[axis](ground)
        await base.run("CHECKPOINT")
        costs = await _measured(ground, arguments.rounds)
        for each in ground.bases:
            await each.backstay.close()
    return [
        Curve(axis, name, {size: median(found) for size, found in by_size.items()}, must_be_flat)
        for (axis, name, must_be_flat), by_size in costs.items()
    ]


Costs = dict[tuple[str, str, bool], dict[int, list[float]]]


async def _measured(ground: Ground, rounds: int) -> Costs:
    """All points, those of one curve one after the other, and in turn from either end.

    What else the machine does at a moment thus meets neighbours, and neither end more often.
    """
    costs: Costs = defaultdict(lambda: defaultdict(list))
    names = list(dict.fromkeys((probe.axis, probe.name) for probe in ground.probes))
    ordered = sorted(ground.probes, key=lambda each: names.index((each.axis, each.name)))
    for number in range(rounds + 1):
        for probe in ordered if number % 2 else reversed(ordered):
            cost = await probe.measure()
            if number:  # the first round warms up
                of_curve = costs[probe.axis, probe.name, probe.must_be_flat]
                of_curve[probe.size].append(cost)
        for base in ground.bases:
            await base.reset()
    return costs
