"""Shows that a late answer of the store is awaited in the background."""

import asyncio

import pytest

from backstay.core.errors import Unavailable
from backstay.jobs import timing
from backstay.jobs.timing import TimeoutRunner
from backstay.testing.waiting import eventually
from tests.logs import logged

pytestmark = pytest.mark.anyio


async def test_a_late_error_is_logged_and_a_late_answer_used() -> None:
    released, used, waits = asyncio.Event(), list[int](), TimeoutRunner(0.0)

    async def answer() -> int:
        await released.wait()
        return 7

    async def fail() -> int:
        await released.wait()
        raise LookupError("gone")

    async def use(late: int) -> None:
        used.append(late)

    with logged(timing) as logs:
        for asking in (answer(), fail()):
            with pytest.raises(Unavailable):
                await waits(asking, use)
        released.set()
        await eventually(lambda: not waits.late)
    assert used == [7]
    assert [event["event"] for event in logs] == ["a late answer is an error"]
