"""Measures maintenance with real processes: two servers and a worker, on each kind of database.

`make maintenance` tells how long after the commit of a switch a write was still accepted, or
refused; it fails if that took a second, if a write was lost or a job ran.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import func, select, text

from backstay.composition import Backstay, compose
from backstay.core.clock import new_id, utc_now
from backstay.core.principal import SYSTEM
from backstay.features.items.model import Item
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.features.system.commands.purging import PurgeJobs
from backstay.jobs.tables import Job
from backstay.settings import Settings
from backstay.testing import settings_with
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, eventually, until
from tests.cli.process import COMMAND, KEYS, Server, environ, run_warm, serving
from tests.faults.two_servers import LISTENERS, PROMISED
from tests.features.steps import API, AUTH, bearer
from tests.services.valkey import ValkeyServer

KINDS = ("sqlite", "postgresql", "valkey")
PASSWORD = "a-harbour-of-glass"
JOBS = 20
PAUSE = 0.01


@dataclass
class Writer:
    """Creates items at a server, one after the other, and notes when it got which status."""

    server: Server
    headers: dict[str, str]
    sent: list[tuple[float, int]] = field(default_factory=list)
    is_over: bool = False

    def write(self) -> None:
        with httpx.Client(base_url=self.server.client.base_url, timeout=LIMIT) as client:
            while not self.is_over:
                at = time.monotonic()
                answer = client.post(
                    f"{API}/items", json={"title": str(new_id())}, headers=self.headers
                )
                self.sent.append((at, answer.status_code))
                time.sleep(PAUSE)

    def last(self, status: int) -> float:
        """When the last request was sent that got this status."""
        return max((at for at, got in self.sent if got == status), default=0.0)


@contextmanager
def worker(folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """A worker of its own; it has stopped in the end."""
    with (folder / "worker.log").open("a") as output:
        process = subprocess.Popen(
            [*COMMAND, "worker"], cwd=folder, env=environ(**variables), stdout=output, stderr=output
        )
    until(lambda: "The worker runs jobs." in (folder / "worker.log").read_text("utf-8"))
    try:
        yield
    finally:
        process.terminate()
        process.wait(LIMIT)


class Drill:
    """The processes of one kind of database, and a command line that switches."""

    def __init__(self, kind: str, folder: Path, url: str, redis: str) -> None:
        self.kind = kind
        self.folder = folder
        self.url = url
        self.variables = KEYS | {
            **{"DB_URL": url, "ADMIN_PASSWORD": PASSWORD, "LOG_DIR": "", "REDIS_URL": redis},
            "RATE_LIMIT_ENABLED": "false",
        }
        self.settings: Settings = settings_with(url, folder, **KEYS)
        self.lags: dict[str, list[float]] = {}

    async def rounds(self, count: int) -> None:
        """Switch on and off so many times under load, then with each fault."""
        assert run_warm(self.folder, "db", "upgrade", **self.variables).code == 0
        with ExitStack() as stack:
            one, other = (stack.enter_context(self.server(name)) for name in ("one", "other"))
            stack.enter_context(worker(self.folder, self.variables))
            backstay = compose(self.settings, for_requests=False)
            for number in range(count):
                await self.round(backstay, (one, other), cuts=number % 2 == 1)
            await self.kill(backstay, other)
            await backstay.close()

    @contextmanager
    def server(self, name: str) -> Iterator[Server]:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        with serving(folder, **self.variables) as server:
            yield server

    async def round(self, backstay: Backstay, servers: tuple[Server, ...], *, cuts: bool) -> None:
        """On and off while clients write; with ``cuts``, the listeners are killed meanwhile."""
        writers = [Writer(each, sign_in(each)) for each in servers]
        stored = await self.count(backstay)
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(each.write) for each in writers]
            await self.reach(writers, 201, time.monotonic())
            if cuts:
                await self.cut(backstay)
            await backstay.system(BeginMaintenance(reason="drill"))
            begun = time.monotonic()
            await self.reach(writers, 503, begun)
            await self.jobs_wait(backstay, servers)
            ending = time.monotonic()
            await backstay.system(EndMaintenance())
            ended = time.monotonic()
            await self.reach(writers, 201, ended)
            for each in writers:
                each.is_over = True
            await asyncio.gather(*map(asyncio.wrap_future, running))
        await eventually(lambda: self.are_over(backstay))
        name = "cut" if cuts else "heard"
        for each in writers:
            during = [at for at, got in each.sent if got == 201 and begun < at < ending]
            self.note(f"on, {name}", max(during, default=begun) - begun)
            self.note(f"off, {name}", max(0.0, each.last(503) - ended))
            assert {got for _, got in each.sent} == {201, 503}
        done = sum(got == 201 for each in writers for _, got in each.sent)
        assert await self.count(backstay) == stored + done, (
            "a refused write was stored, or one lost"
        )

    async def kill(self, backstay: Backstay, server: Server) -> None:
        """A server that is killed and started again still refuses."""
        await backstay.system(BeginMaintenance())
        server.stop(signal.SIGKILL, group=True)
        with self.server("again") as again:
            headers = sign_in(again)
            answer = again.client.post(f"{API}/items", json={"title": "x"}, headers=headers)
            assert answer.status_code == 503, answer.text
            await backstay.system(EndMaintenance())

    async def jobs_wait(self, backstay: Backstay, servers: tuple[Server, ...]) -> None:
        """Reads and sign-ins go on, and jobs that are stored wait."""
        outbox = backstay.worker_context.outbox
        await asyncio.sleep(PROMISED)  # for workers that are about to claim
        for number in range(JOBS):
            job = outbox.new(PurgeJobs(), SYSTEM)
            assert await outbox.store.fire(f"drill {number} {new_id()}", utc_now(), job)
        for each in servers:
            headers = sign_in(each)
            assert each.client.get(f"{API}/items", headers=headers).status_code == 200
            assert each.client.post(f"{AUTH}/logout", headers=headers).status_code == 204
        await asyncio.sleep(2 * PROMISED)
        waiting = await backstay.database.write(
            select(func.count()).where(Job.name == "PurgeJobs", Job.finished_at.is_(None))
        )
        assert waiting[0][0] >= JOBS, waiting

    async def are_over(self, backstay: Backstay) -> bool:
        """Whether every job has run."""
        left = select(func.count()).where(Job.finished_at.is_(None), Job.name == "PurgeJobs")
        return not (await backstay.database.write(left))[0][0]

    async def cut(self, backstay: Backstay) -> None:
        """End the connections on which servers and worker listen; SQLite's file has none."""
        if self.kind != "sqlite":
            ending = LISTENERS.replace("SELECT pid", "SELECT pg_terminate_backend(pid)")
            await backstay.database.write(text(ending))

    async def count(self, backstay: Backstay) -> int:
        found = await backstay.database.write(select(func.count()).select_from(Item))
        return int(found[0][0])

    async def reach(self, writers: list[Writer], status: int, since: float) -> None:
        await eventually(lambda: all(each.last(status) > since for each in writers))

    def note(self, name: str, seconds: float) -> None:
        self.lags.setdefault(name, []).append(seconds)


def sign_in(server: Server) -> dict[str, str]:
    body = {"email": "admin@example.com", "password": PASSWORD, "transport": "body"}
    answer = server.client.post(f"{AUTH}/login", json=body)
    assert answer.status_code == 200, answer.text
    return bearer(answer.json()["access_token"])


def main(kinds: list[str], count: int) -> int:
    """Run the drill on each kind; 1 if a switch took longer than promised."""
    worst = 0.0
    for kind in kinds:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url, redis = f"sqlite+aiosqlite:///{folder / 'drill.db'}", ""
            if kind != "sqlite":
                postgres = stack.enter_context(PostgresServer())
                url = postgres.create_database().replace("://", "+asyncpg://", 1)
            if kind == "valkey":
                redis = stack.enter_context(ValkeyServer()).url
            drill = Drill(kind, folder, url, redis)
            asyncio.run(drill.rounds(count))
        for name, lags in sorted(drill.lags.items()):
            worst = max(worst, *lags)
            told = f"median {sorted(lags)[len(lags) // 2]:.3f} s, most {max(lags):.3f} s"
            print(f"{kind:<11} {name:<12} {told}, of {len(lags)}", flush=True)
    return int(worst >= PROMISED)


if __name__ == "__main__":
    threading.current_thread().name = "drill"
    sys.exit(main(sys.argv[2:] or list(KINDS), int(sys.argv[1]) if sys.argv[1:] else 10))
