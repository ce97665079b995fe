"""What a request costs over the size of everything that grows: rows, roles, routes, jobs and more.

The cost is processor time: of the server, and of PostgreSQL while it answers. All sizes are
measured in turn in every round, so that what else the machine does meets each of them.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from backstay.testing.postgres_server import PostgresServer
from benchmarks import growing, machine
from benchmarks.curves import Curve, plot, show
from benchmarks.filling import Base, make
from benchmarks.load import Request
from benchmarks.stage import Server, serving

SQLITE_MOST = 1_000_000
"""The largest table that is made in SQLite."""
Measure = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Probe:
    """One point of a curve: how to measure the microseconds of one request."""

    axis: str
    name: str
    size: int
    measure: Measure
    must_be_flat: bool


@dataclass
class Ground:
    """Where the probes are set up; everything ends with the stack."""

    stack: ExitStack
    postgres: PostgresServer
    folder: Path
    requests: int
    seconds: int
    sizes: Sequence[int]
    probes: list[Probe] = field(default_factory=list)
    bases: list[Base] = field(default_factory=list)

    def sizes_of(self, database: str) -> Sequence[int]:
        """The numbers of rows to measure."""
        return [size for size in self.sizes if database == "PostgreSQL" or size <= SQLITE_MOST]

    async def base(self, database: str, **options: object) -> Base:
        """A new database of one kind."""
        if database == "PostgreSQL":
            url = self.postgres.create_database()
        else:
            url = f"sqlite:///{self.folder / f'{len(self.bases)}.db'}"
        made = await make(url, self.folder, **options)  # type: ignore[arg-type]
        self.bases.append(made)
        return made

    def serve(self, base: Base, target: str = "benchmarks.ours:app", **variables: str) -> Server:
        """A server without a cache; ``variables`` are set for it besides the settings."""
        variables = {"CACHE_TTL_SECONDS": "0"} | variables
        return self.stack.enter_context(
            serving(target, base.environ, "--factory", workers=1, **variables)
        )

    def asked(self, server: Server, request: Request) -> Measure:
        """What one request costs: one after the other, each to its end."""
        connection = HTTPConnection(server.base.removeprefix("http://"), timeout=300)
        self.stack.callback(connection.close)
        headers = {"Content-Type": "application/json", "User-Agent": "wrk", **request.headers}

        async def act() -> None:
            connection.request(request.method, request.url, request.body or None, headers)
            answer = connection.getresponse()
            if not (answer.read() and answer.status < 300):
                raise RuntimeError(f"{request.method} {request.url}: {answer.status}")

        measure = self.called(act, server.pids)

        async def anew() -> float:
            connection.close()  # the server may have done so; the next request opens it again
            return await measure()

        return anew

    def called(
        self, act: Callable[[], Awaitable[object]], pids: Sequence[int] = (), times: int = 1
    ) -> Measure:
        """What one call costs in this process, or in others; ``times`` as many as requests."""

        async def measure() -> float:
            count, end = 0, time.monotonic() + self.seconds
            before, own = machine.run_seconds(self._counted(pids)), time.process_time()
            while not count or (count < self.requests * times and time.monotonic() < end):
                await act()
                count += 1
            own = 0 if pids else time.process_time() - own
            after = machine.run_seconds(self._counted(pids))
            others = sum(used - before.get(pid, 0) for pid, used in after.items())
            return (own + others) / count * 1e6

        return measure

    def _counted(self, pids: Sequence[int]) -> list[int]:
        """Those processes, and all of PostgreSQL."""
        status = self.postgres.folder / "data" / "postmaster.pid"
        return [*pids, *machine.family(int(status.read_text().split()[0]))]

    def add(
        self, axis: str, name: str, size: int, measure: Measure, *, must_be_flat: bool = True
    ) -> None:
        """Measure one more point."""
        self.probes.append(Probe(axis, name, size, measure, must_be_flat))


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
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts")
    parser.add_argument("--requests", type=int, default=200, help="of each point in each round")
    parser.add_argument("--seconds", type=int, default=5, help="after which slow ones end earlier")
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
    costs: Costs = defaultdict(lambda: defaultdict(list))
    for number in range(rounds + 1):
        for probe in ground.probes:
            cost = await probe.measure()
            if number:  # the first round warms up
                of_curve = costs[probe.axis, probe.name, probe.must_be_flat]
                of_curve[probe.size].append(cost)
        for base in ground.bases:
            await base.reset()
    return costs
