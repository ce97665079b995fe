"""Shows that a late answer of the store is awaited in the background."""

import asyncio

import pytest

from backstay.core.errors import Conflict, NotFound, RateLimited, Unavailable
from backstay.jobs import timing
from backstay.jobs.timing import TimeoutRunner, is_final
from backstay.testing.waiting import eventually
from tests.logs import logged

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "of_a_job", "of_a_row"),
    [
        (NotFound(), True, True),
        (Conflict(), False, True),
        (RateLimited(), False, False),
        (Unavailable(), False, False),
        (LookupError(), False, False),
    ],
)
def test_a_conflict_is_final_in_bulk_only(
    error: Exception, *, of_a_job: bool, of_a_row: bool
) -> None:
    assert is_final(error) is of_a_job
    assert is_final(error, is_row=True) is of_a_row


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
