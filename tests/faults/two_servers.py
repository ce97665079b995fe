"""Two servers on one database, for tests of what one learns of the other's changes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import httpx

from backstay.application import create_app
from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.settings import Settings
from backstay.testing import PASSWORD, client_of
from backstay.testing.waiting import LIMIT, eventually
from tests.cli.process import environ
from tests.clocks import StandingClock
from tests.features.steps import AUTH, ME, bearer, register, sign_in

PROMISED = 1.0
"""Seconds within which every process obeys a change, whatever fails."""
LISTENERS = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'backstay listener' AND datname = current_database()
"""


class Server:
    """A server, as its clients see it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def status(self, path: str, headers: dict[str, str]) -> int:
        return (await self.client.get(path, headers=headers)).status_code

    async def answers(self, status: int, path: str, headers: dict[str, str]) -> None:
        """Wait until a path is answered with this status."""

        async def is_so() -> bool:
            return await self.status(path, headers) == status

        await eventually(is_so)


class InProcessServer(Server):
    """An application in this process that shares no state with the others.

    Time stands still for its principal cache: cached principals do not expire.
    """

    def __init__(self, backstay: Backstay, client: httpx.AsyncClient) -> None:
        super().__init__(client)
        self.backstay = backstay
        self.clock = backstay.principals._monotonic = StandingClock()

    async def obeys(self, headers: dict[str, str], told: float) -> bool:
        """Whether a signed-out user is refused `PROMISED` seconds after the sign-out."""
        self.clock.now = told + PROMISED
        return await self.status(ME, headers) == 401


@asynccontextmanager
async def in_process_server(settings: Settings) -> AsyncIterator[InProcessServer]:
    app = create_app(settings, worker=False)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield InProcessServer(app.state.backstay, client)


class TwoServers:
    """Two servers, and users who are signed in at the first and cached by both."""

    def __init__(self, one: Server, other: Server, url: str) -> None:
        self.one, self.other, self.url = one, other, url

    async def join(self, *, settled: bool = False) -> tuple[str, dict[str, str]]:
        """A new user's id and headers; if settled, no notification about them is under way."""
        email = f"{new_id()}@example.org"
        created = await register(self.one.client, email)
        assert created.status_code == 201, created.text
        answer = await sign_in(self.one.client, email)
        headers = bearer(answer.json()["access_token"])
        if settled:
            _, later = await self.join()
            await log_out(self.one, later)
            await self.other.answers(401, ME, later)
        for server in (self.one, self.other):
            assert await server.status(ME, headers) == 200
        return created.json()["id"], headers

    async def join_to_be_ended(self) -> dict[str, str]:
        """The headers of a new user whose sessions are ended by SQL, without a notification."""
        user_id, headers = await self.join(settled=True)
        await self.sql(f"UPDATE sessions SET ended_at = now() WHERE user_id = '{user_id}'")
        return headers

    async def sql(self, statement: str) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def listeners(self, count: int = 2) -> set[int]:
        """The backend pids of the listeners, once there are this many."""

        async def listed() -> set[int]:
            found = set(await self.sql(LISTENERS))
            return found if len(found) == count else set()

        return await eventually(listed)

    async def end_listeners(self) -> None:
        for pid in await self.listeners():
            await self.sql(f"SELECT pg_terminate_backend({pid})")


class TwoInProcessServers(TwoServers):
    """Two servers that run in this process."""

    one: InProcessServer
    other: InProcessServer

    def __init__(self, one: InProcessServer, other: InProcessServer, url: str) -> None:
        super().__init__(one, other, url)
        self.settings = one.backstay.settings


@asynccontextmanager
async def two_in_process_servers(
    settings: Settings, url: str
) -> AsyncIterator[TwoInProcessServers]:
    async with in_process_server(settings) as one, in_process_server(settings) as other:
        yield TwoInProcessServers(one, other, url)


async def log_out(server: Server, headers: dict[str, str]) -> float:
    """Sign out; the monotonic time of the answer."""
    answer = await server.client.post(f"{AUTH}/logout", headers=headers)
    assert answer.status_code == 204, answer.text
    return time.monotonic()


async def leave(server: Server, headers: dict[str, str]) -> None:
    body = {"current_password": PASSWORD}
    answer = await server.client.request("DELETE", ME, json=body, headers=headers)
    assert answer.status_code == 204, answer.text


@contextmanager
def paused(pids: set[int]) -> Iterator[None]:
    """Stop processes (SIGSTOP) within the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def run(program: str, *arguments: str, **variables: str) -> int:
    """Run a program in its own process; the exit code."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environ(**variables), check=False, timeout=LIMIT).returncode
