"""No request is lost while workers are replaced."""

import asyncio
import re
import signal
from pathlib import Path

from backstay.testing.waiting import eventually
from tests.cli.load import Caller, token
from tests.cli.process import NEVER, Server, serving, workers

CALLERS = 4
MAX_REQUESTS = 300
REQUESTS_AFTERWARDS = 25
PAUSE = 0.05
"""Seconds between requests once the worker is to be replaced; new ones are not to be worn out."""


async def _call_until_replaced(server: Server) -> tuple[int, int]:
    """The number of answered requests, and the most repeats that one caller needed."""
    bearer, before, total = await token(server.port), workers(server), 0
    replacement = asyncio.create_task(eventually(lambda: not before <= workers(server)))

    async def call() -> int:
        nonlocal total
        caller, left = Caller(server.port, bearer), REQUESTS_AFTERWARDS
        while left:
            assert (await caller("GET", "/api/v1/items"))[0] == 200
            total += 1
            left -= replacement.done()
            await asyncio.sleep(PAUSE if total > MAX_REQUESTS else 0)
        await caller.close()
        return caller.repeated

    repeated = await asyncio.gather(*(call() for _ in range(CALLERS)))
    await replacement
    return total - CALLERS * REQUESTS_AFTERWARDS, max(repeated)


def test_replacing_a_worker_after_its_last_request_loses_no_request(kind: str, home: Path) -> None:
    variables = {
        "SERVER_TYPE": kind,
        "SERVER_MAX_REQUESTS": str(MAX_REQUESTS),
        "SERVER_GRACEFUL_TIMEOUT": NEVER,
        "RATE_LIMIT_ENABLED": "false",
        "SERVER_LOG": "false",
        "DB_POOL_TIMEOUT": NEVER,
    }
    with serving(home, **variables) as server:
        answered, repeated = asyncio.run(_call_until_replaced(server))
        assert answered >= MAX_REQUESTS - 10
        assert repeated <= 1
        assert server.stop(signal.SIGTERM) == 0
        assert not re.search("error|unexpected", server.printed, re.IGNORECASE)
