"""Where costs over sizes are measured: databases, servers in front, and points of curves."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from backstay.testing.postgres_server import PostgresServer
from benchmarks import machine
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
        serve = serving(target, base.environ, "--factory", workers=1, **variables)
        return self.stack.enter_context(serve)

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
