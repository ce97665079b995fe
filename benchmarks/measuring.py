"""Puts load on our servers and on the bare ones in turn, round by round, on one database."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from benchmarks import rows
from benchmarks.cases import API, CASES, POSTGRESQL, REFRESH, SQLITE_FILE, Case, Requests, login
from benchmarks.load import Measured, Request, burst, settle
from benchmarks.stage import Server, Stage, serving, without_limits
from tests.services.valkey import ValkeyServer

Results = dict[str, list[Measured]]
Summary = dict[str, Measured]
Servers = Mapping[str, Server]
WARM_UP_SECONDS = 1
OURS = "benchmarks.ours:app"
BARE = {POSTGRESQL: "benchmarks.bare:app", SQLITE_FILE: "benchmarks.bare_sqlite:app"}


@dataclass(frozen=True)
class Plan:
    """How often and how long, and what to do when something else begins to be measured."""

    rounds: int
    seconds: int
    tell: Callable[[str], None]


def chosen(names: Sequence[str], database: str) -> list[Case]:
    """The named cases, or all, that say something about this database."""
    return [
        case
        for case in CASES
        if (not names or case.name in names) and (database == POSTGRESQL or not case.once)
    ]


def measure(
    cases: Sequence[Case], database: str, stage: Stage, plan: Plan, *, storm: bool
) -> Results:
    """Every case in every round, our application, the bare one and its floor in turn."""
    results: Results = defaultdict(list)
    if not cases and not storm:
        return results
    with _servers(database, stage) as servers:
        for number in range(plan.rounds):
            for case in cases:
                for label, server, requests in _sides(case, stage, servers):
                    plan.tell(label)
                    if number == 0:
                        load(server, requests, case, WARM_UP_SECONDS, stage)
                    results[label].append(load(server, requests, case, plan.seconds, stage))
            if storm:
                plan.tell("storm")
                for label, figures in _storm(stage, servers["uncached"], plan.seconds).items():
                    results[label].append(figures)
    return results


@contextmanager
def _servers(database: str, stage: Stage) -> Iterator[Servers]:
    """Every server that cases name, each with one worker."""
    bare = BARE[database]
    with ExitStack() as held:
        started = {
            "uncached": serving(OURS, stage.environ, "--factory", CACHE_TTL_SECONDS="0"),
            "cached": serving(OURS, stage.environ, "--factory"),
            "bare": serving(bare, stage.environ),
            "floor": serving(bare, stage.environ, BARE_FLOOR="1"),
        }
        if database == POSTGRESQL:
            url = held.enter_context(ValkeyServer()).url
            started |= {
                "far": serving("benchmarks.ours:far", stage.environ, "--factory", REDIS_URL=url),
                "unlimited": serving(OURS, without_limits(stage).environ, "--factory"),
            }
        yield {name: held.enter_context(server) for name, server in started.items()}


def _sides(
    case: Case, stage: Stage, servers: Servers
) -> Iterator[tuple[str, Server, Sequence[Request]]]:
    yield case.name, servers[case.server], case.ours(stage)
    if case.bare is not None:
        for name in ("bare", "floor"):
            yield f"{case.name} {name}", servers[name], case.bare(stage)


def load(
    server: Server, requests: Sequence[Request], case: Case, seconds: int, stage: Stage
) -> Measured:
    """One burst; what it wrote is put back, so that each begins with the same rows.

    Raises:
        RuntimeError: a request failed, or those that can be sent only once were too few.
    """
    if case.name == REFRESH:
        open_sessions(stage)
    settle(server.pids)
    found = burst(
        server.asked(requests), server.pids, seconds=seconds, connections=case.connections
    )
    if case.writes:
        put_back(server, stage)
    if case.name == REFRESH and found.requests > len(requests):
        raise RuntimeError(f"{found.requests} sessions were refreshed: raise stage.REFRESHED")
    return found


def open_sessions(stage: Stage) -> None:
    """Let each refresh token of the stage be used once."""
    secret = stage.environ["SECURITY_REFRESH_TOKEN_SECRET"]
    tokens, user_id = stage.refresh_tokens, UUID(stage.busy_id)
    asyncio.run(rows.open_sessions(stage.url, tokens, secret, user_id))


def put_back(server: Server, stage: Stage) -> None:
    """Put the rows back that load has written, once the server is done with it."""
    settle(server.pids)
    asyncio.run(rows.put_back(stage.url, UUID(stage.busy_id)))


def beside(
    server: Server, requests: Requests, others: Requests, connections: tuple[int, int], seconds: int
) -> Measured:
    """A burst of requests, while others are sent over so many other connections.

    Raises:
        RuntimeError: a request of either kind failed.
    """
    few, many = connections
    settle(server.pids)
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(
            burst, server.asked(others), server.pids, seconds=seconds + 2, connections=many
        )
        time.sleep(1)
        found = burst(server.asked(requests), server.pids, seconds=seconds, connections=few)
        loaded.result()
    return found


def _storm(stage: Stage, ours: Server, seconds: int) -> Summary:
    """``me`` by itself, then while eight clients log in without a pause."""
    me = next(case for case in CASES if case.name == "me").ours(stage)
    logins = login(f"{API}/auth/login", stage)
    settle(ours.pids)
    alone = burst(ours.asked(me), ours.pids, seconds=seconds, connections=2)
    found = {"idle me": alone, "storm me": beside(ours, me, logins, (2, 8), seconds)}
    put_back(ours, stage)
    return found


def middle(results: Results) -> Summary:
    """The median of every figure of every measurement."""
    return {name: _median(found) for name, found in results.items()}


def _median(found: Sequence[Measured]) -> Measured:
    names = Measured.__dataclass_fields__
    return Measured(*(median(getattr(each, name) for each in found) for name in names))
