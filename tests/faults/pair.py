"""Two servers on one database, and how long one takes to obey what the other was told."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import asyncpg

from backstay.core.clock import new_id
from tests.cli.process import Server
from tests.conftest import PASSWORD
from tests.features.steps import API, AUTH, ME, bearer

PROMPT = 0.5
"""Seconds; less than anything is believed without a channel."""
PROMISED = 1.0
LISTENERS = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'backstay listener' AND datname = current_database()
"""


class Two:
    """Two servers on one database, and people who are signed in at the first."""

    def __init__(self, one: Server, other: Server, url: str) -> None:
        self.one, self.other, self.url = one, other, url

    def join(self) -> tuple[str, dict[str, str]]:
        """A new user's id and headers, which both servers have seen."""
        login = {"email": f"{new_id()}@example.org", "password": PASSWORD}
        created = self.one.client.post(f"{API}/users", json=login)
        assert created.status_code == 201, created.text
        answer = self.one.client.post(f"{AUTH}/login", json=login)
        headers = bearer(answer.json()["access_token"])
        for server in (self.one, self.other):
            assert server.client.get(ME, headers=headers).status_code == 200
        return created.json()["id"], headers

    def sql(self, statement: str) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return [row[0] for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return anyio.run(run)

    def end_unnoticed(self, headers: dict[str, str]) -> None:
        """End the sessions of somebody behind the back of every server."""
        user_id = self.one.client.get(ME, headers=headers).json()["id"]
        self.sql(f"UPDATE sessions SET ended_at = now() WHERE user_id = '{user_id}'")

    def listeners(self) -> list[int]:
        """The processes of the database that serve a listener, once both listen."""
        until(lambda: len(self.sql(LISTENERS)) == 2)
        return self.sql(LISTENERS)

    def end_listeners(self) -> None:
        for pid in self.listeners():
            self.sql(f"SELECT pg_terminate_backend({pid})")


def until(happened: Callable[[], bool]) -> float:
    """The seconds until something happens."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < 10
        time.sleep(0.005)
    return time.monotonic() - started


def until_answered(server: Server, path: str, headers: dict[str, str], status: int) -> float:
    return until(lambda: server.client.get(path, headers=headers).status_code == status)


def log_out(server: Server, headers: dict[str, str]) -> None:
    assert server.client.post(f"{AUTH}/logout", headers=headers).status_code == 204


def leave(server: Server, headers: dict[str, str]) -> None:
    body = {"current_password": PASSWORD}
    answer = server.client.request("DELETE", ME, json=body, headers=headers)
    assert answer.status_code == 204, answer.text


@contextmanager
def paused(pids: list[int]) -> Iterator[None]:
    """Stop processes for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
